"""Colour pixels whose channels depend on each other."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions
from jax.scipy.special import logsumexp

from vae.distributions.pixels import ByteLogistic

CENTRE = 0.5  # of pixels: from there a channel's value moves the next one's location


class RGBParameters(NamedTuple):
    """Of a mixture of M components at N pixels."""

    logits: jax.Array  # [..., M, N]
    loc: jax.Array  # [..., 3, M, N], in units of the pixel's [0, 1]
    log_scale: jax.Array  # [..., 3, M, N]
    # [..., 3, M, N] in (-1, 1): of red on green, of red on blue, of green on blue
    coefficients: jax.Array


class RGBLogisticMixture(numpyro.distributions.Distribution):
    """Independent pixels over 256 levels k / 255 of red, green and blue, each a mixture
    of M components. Within a component the channels are `ByteLogistic`s, red first; the
    location of green is linear in red, and that of blue in red and green.

    References:
      Salimans et al. 2017, arXiv 1701.05517, eq. 2 and 3, whose pixels in [-1, 1] are
      2 x - 1 here.
    """

    pytree_data_fields = ("parameters",)

    def __init__(self, parameters: RGBParameters, size: Sequence[int]):
        """Takes the parameters of images of `size` = [H, W], where N = H W."""
        self.parameters = parameters
        batch_shape = parameters.logits.shape[:-2]
        super().__init__(batch_shape, (*size, 3), validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of images [..., H, W, 3], in nats."""
        flat = value.reshape(*value.shape[: value.ndim - 3], -1, 3)
        channels = jnp.moveaxis(flat, -1, 0)[..., None, :]  # [3, ..., 1, N]
        log_masses = jax.nn.log_softmax(self.parameters.logits, -2)
        for c in range(3):
            given = self._given(c, [*channels[:c]])
            log_masses = log_masses + given.log_prob(channels[c])
        return logsumexp(log_masses, -2).sum(-1)

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns images of levels k / 255, [*sample_shape, ..., H, W, 3]."""
        assert key is not None
        logits = self.parameters.logits
        which_key, *keys = jax.random.split(key, 4)
        shape = (*sample_shape, *logits.shape[:-2], logits.shape[-1])
        which = jax.random.categorical(which_key, logits, -2, shape)[..., None, :]
        values: list[jax.Array] = []  # of every component, given the one that is drawn
        for c in range(3):
            given = self._given(c, values)
            of_each = given.sample(keys[c], () if c else sample_shape)
            values.append(jnp.take_along_axis(of_each, which, -2))
        return self._as_images(values, axis=-2)

    @property
    def mean(self) -> jax.Array:
        """The means [..., H, W, 3] before rounding, if the location of a channel is
        that at the component's mean of those before it: exact but for the clipping."""
        values: list[jax.Array] = []
        for c in range(3):
            values.append(self._given(c, values).mean)
        weights = jax.nn.softmax(self.parameters.logits, -2)
        return self._as_images([weights * value for value in values], axis=-2)

    def _given(self, channel: int, before: Sequence[jax.Array]) -> ByteLogistic:
        """Returns the components of a channel given those before it, [..., M, N] or
        [..., 1, N] each."""
        loc = self.parameters.loc[..., channel, :, :]
        first = max(0, channel - 1)  # 0 of red on green; 1, 2 of what is on blue
        for i, value in enumerate(before):
            coefficient = self.parameters.coefficients[..., first + i, :, :]
            loc = loc + coefficient * (value - CENTRE)
        log_scale = self.parameters.log_scale[..., channel, :, :]
        return ByteLogistic(loc, jnp.broadcast_to(log_scale, loc.shape))

    def _as_images(self, values: Sequence[jax.Array], axis: int) -> jax.Array:
        """Sums channels [..., M, N] over components; returns [..., H, W, 3]."""
        flat = jnp.concatenate([value.sum(axis)[..., None] for value in values], -1)
        return flat.reshape(*flat.shape[:-2], *self.event_shape)

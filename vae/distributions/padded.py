"""Latent dimensions that only fill up a width, so that one program serves many sizes.

A padded dimension is zero, has no density and no KL, and carries no gradient: a model
of `size` dimensions in a wider space is the model of `size` dimensions.
"""

import functools

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, Independent, Normal, kl_divergence

from vae.distributions.gaussians import DiagonalGaussianMixture


class PaddedNormal(Normal):
    """Normals whose last axis is in use where `used` [D] says so, and else zero."""

    pytree_data_fields = ("used",)

    def __init__(self, loc: jax.Array, scale: jax.Array, used: jax.Array):
        self.used = used
        super().__init__(
            jnp.where(used, loc, 0), jnp.where(used, scale, 1), validate_args=False
        )

    def log_prob(self, value):
        """Returns log p of values [..., D], zero where padded, in nats."""
        return jnp.where(self.used, super().log_prob(value), 0)

    def sample(self, key, sample_shape=()):
        """Returns samples [*sample_shape, ..., D], zero where padded."""
        return jnp.where(self.used, super().sample(key, sample_shape), 0)

    @property
    def variance(self) -> jax.Array:
        return jnp.where(self.used, super().variance, 0)


@kl_divergence.register(PaddedNormal, PaddedNormal)
def _kl_padded(q: PaddedNormal, p: PaddedNormal) -> jax.Array:
    """KL of each dimension, in nats; none of padding."""
    divergence = kl_divergence(Normal(q.loc, q.scale), Normal(p.loc, p.scale))
    return jnp.where(q.used, divergence, 0)


class PaddedMixture(DiagonalGaussianMixture):
    """A mixture whose dimensions are in use where `used` [D] says so, and else zero."""

    pytree_data_fields = ("used",)

    def __init__(
        self,
        logits: jax.Array,
        means: jax.Array,
        scales: jax.Array,
        used: jax.Array,
    ):
        self.used = used
        super().__init__(logits, jnp.where(used, means, 0), jnp.where(used, scales, 1))

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of codes [..., D], in nats."""
        log_density_of_zero = Normal(0, 1).log_prob(0)
        padding = (~self.used).sum() * log_density_of_zero
        return super().log_prob(jnp.where(self.used, value, 0)) - padding

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns codes [*sample_shape, D], zero where padded."""
        return jnp.where(self.used, super().sample(key, sample_shape), 0)


def in_use(width: int, size: jax.Array | None) -> jax.Array:
    """Returns which of `width` dimensions are in use: the first `size`, or all."""
    return jnp.arange(width) < (width if size is None else size)


@functools.singledispatch
def restrict(distribution: Distribution, size: jax.Array) -> Distribution:
    """Returns the distribution in its first `size` dimensions; the rest is padding.

    Raises:
      TypeError: this kind cannot be padded.
    """
    del size
    raise TypeError(f"{distribution} cannot be padded")


@restrict.register
def _(distribution: Independent, size: jax.Array) -> Distribution:
    normal = distribution.base_dist
    if not isinstance(normal, Normal):
        raise TypeError(f"{distribution} cannot be padded")
    used = in_use(distribution.event_shape[-1], size)
    return Independent(PaddedNormal(normal.loc, normal.scale, used), 1)


@restrict.register
def _(distribution: DiagonalGaussianMixture, size: jax.Array) -> Distribution:
    used = in_use(distribution.event_shape[-1], size)
    mixture = distribution
    return PaddedMixture(mixture.logits, mixture.means, mixture.scales, used)


def restrict_codes(z: jax.Array, size: jax.Array) -> jax.Array:
    """Returns codes [..., D] with zeros in all but the first `size` dimensions."""
    return jnp.where(in_use(z.shape[-1], size), z, 0)

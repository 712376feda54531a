"""Vectors whose values differ in kind: each kind has its distribution."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions

from vae.types import Distribution


class PerColumn(numpyro.distributions.Distribution):
    """Independent parts of a vector, each of its own distribution."""

    pytree_data_fields = ("parts",)
    pytree_aux_fields = ("places",)

    def __init__(
        self, parts: tuple[Distribution, ...], places: tuple[tuple[int, ...], ...]
    ):
        """Takes distributions of batch shapes [..., n], and for each the places in a
        vector [D] of its n values; together these are 0 to D - 1."""
        self.parts, self.places = parts, places
        shape = *parts[0].batch_shape[:-1], sum(map(len, places))
        super().__init__(shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns terms [..., D] in nats whose sum over the last axis is log p of
        vectors [..., D]."""
        return self._joined(lambda part, places: part.log_prob(take(value, places)))

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns vectors [*sample_shape, ..., D]."""
        keys = iter(jax.random.split(key, len(self.parts)))
        return self._joined(lambda part, _: part.sample(next(keys), sample_shape))

    @property
    def mean(self) -> jax.Array:
        """The means [..., D]; of one-hot values, their probabilities."""
        return self._joined(lambda part, _: part.mean)

    @property
    def variance(self) -> jax.Array:
        """The variances [..., D]."""
        return self._joined(lambda part, _: part.variance)

    def _joined(
        self, of_part: Callable[[Distribution, tuple[int, ...]], jax.Array]
    ) -> jax.Array:
        """Returns what `of_part` gives of each part, at the places of its values."""
        pairs = zip(self.parts, self.places, strict=True)
        floats = [jnp.asarray(of_part(*pair), float) for pair in pairs]  # bits are int
        return take(jnp.concatenate(floats, -1), np.argsort(np.hstack(self.places)))


class OneHot(numpyro.distributions.Distribution):
    """Categories of several columns, as one-hot values side by side."""

    pytree_data_fields = ("logits",)
    pytree_aux_fields = ("widths",)

    def __init__(self, logits: jax.Array, widths: tuple[int, ...]):
        """Takes logits [..., N], and how many of the N values each column has."""
        self.logits, self.widths = logits, widths
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns x_k log p_k [..., N] in nats of one-hot values x [..., N]: over the
        values of a column the terms sum to the log mass of its category."""
        return value * self._by_column(jax.nn.log_softmax)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns one-hot values [*sample_shape, ..., N]."""
        keys = iter(jax.random.split(key, len(self.widths)))

        def draw(logits: jax.Array) -> jax.Array:
            shape = *sample_shape, *logits.shape[:-1]
            drawn = jax.random.categorical(next(keys), logits, shape=shape)
            return jax.nn.one_hot(drawn, logits.shape[-1], dtype=logits.dtype)

        return self._by_column(draw)

    @property
    def mean(self) -> jax.Array:
        """The probabilities [..., N]."""
        return self._by_column(jax.nn.softmax)

    @property
    def variance(self) -> jax.Array:
        """The variances [..., N]."""
        return self.mean * (1 - self.mean)

    def _by_column(self, function: Callable[[jax.Array], jax.Array]) -> jax.Array:
        """Returns what a function gives of each column's logits, side by side."""
        of_columns = jnp.split(self.logits, np.cumsum(self.widths)[:-1], -1)
        return jnp.concatenate([function(logits) for logits in of_columns], -1)


def take(x: jax.Array, places: Sequence[int] | np.ndarray) -> jax.Array:
    """Returns x[..., places] by slices: the explorer's equations know no gather."""
    starts_run = np.flatnonzero(np.diff(places) != 1) + 1
    runs = np.split(np.asarray(places), starts_run)
    slices = [x[..., int(run[0]) : int(run[-1]) + 1] for run in runs]
    return jnp.concatenate(slices, -1)

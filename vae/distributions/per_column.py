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
        return self._joined(
            lambda part, places: part.log_prob(value[..., places]),
        )

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
        self, of_part: Callable[[Distribution, np.ndarray], jax.Array]
    ) -> jax.Array:
        """Returns what `of_part` gives of each part, at the places of its values."""
        places = [np.array(place) for place in self.places]
        values = [of_part(*pair) for pair in zip(self.parts, places, strict=True)]
        floats = [jnp.asarray(value, float) for value in values]  # bits are integers
        return jnp.concatenate(floats, -1)[..., np.argsort(np.concatenate(places))]


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
        return value * self._side_by_side(jax.nn.log_softmax(self._by_column()))

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns one-hot values [*sample_shape, ..., N]."""
        logits = self._by_column()
        shape = *sample_shape, *logits.shape[:-1]
        drawn = jax.random.categorical(key, logits, shape=shape)
        return self._side_by_side(
            jax.nn.one_hot(drawn, logits.shape[-1], dtype=logits.dtype)
        )

    @property
    def mean(self) -> jax.Array:
        """The probabilities [..., N]."""
        return self._side_by_side(jax.nn.softmax(self._by_column()))

    @property
    def variance(self) -> jax.Array:
        """The variances [..., N]."""
        return self.mean * (1 - self.mean)

    def _by_column(self) -> jax.Array:
        """Returns logits [..., columns, largest width], -inf beyond a column's own."""
        is_own = _table(self.widths)
        index = np.cumsum(is_own).reshape(is_own.shape) - 1
        return jnp.where(is_own, self.logits[..., index], -jnp.inf)

    def _side_by_side(self, of_columns: jax.Array) -> jax.Array:
        """The inverse of `_by_column`."""
        return of_columns[..., _table(self.widths)]


def _table(widths: Sequence[int]) -> np.ndarray:
    """Returns which of the largest width's values each column has, bool."""
    return np.arange(max(widths)) < np.array(widths)[:, np.newaxis]

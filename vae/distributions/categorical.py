"""Distributions of discrete codes: P positions, each one of C classes.

Codes are one-hot and flat, [..., P * C], so that they feed a decoder as they are.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from numpyro.distributions import Distribution, kl_divergence

from vae.types import Distribution as AnyDistribution
from vae.types import Params


class OneHotCodes(Distribution):
    """Independent categorical codes, with a temperature for their relaxation."""

    pytree_data_fields = ("logits",)
    pytree_aux_fields = ("temperature",)

    def __init__(self, logits: jax.Array, temperature: float = 1.0):
        """Takes logits [..., P, C]."""
        self.logits, self.temperature = jax.nn.log_softmax(logits), temperature
        size = logits.shape[-2] * logits.shape[-1]
        super().__init__(logits.shape[:-2], (size,), validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of codes [..., P * C], in nats.

        It is linear in the codes, which extends it to relaxed ones.
        """
        # A fused sum is not safe, see `flows._dot`.
        return jnp.vecdot(value, self.log_probs, precision="highest")

    @property
    def log_probs(self) -> jax.Array:
        """The log-probabilities [..., P * C]."""
        return _flat(self.logits)

    @property
    def codes(self) -> jax.Array:
        """The most likely one-hot codes [..., P, C]."""
        return jax.nn.one_hot(self.logits.argmax(-1), self.logits.shape[-1])

    @property
    def mean(self) -> jax.Array:
        """The probabilities [..., P * C]."""
        return jnp.exp(self.log_probs)

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns codes [*sample_shape, ..., P * C]."""
        assert key is not None
        shape = (*sample_shape, *self.logits.shape)
        return self.harden(jax.random.gumbel(key, shape, self.logits.dtype))

    def harden(self, gumbel: jax.Array) -> jax.Array:
        """Turns Gumbel noise [..., P, C] into codes [..., P * C]."""
        chosen = jnp.argmax(self.logits + gumbel, -1)
        classes = self.logits.shape[-1]
        return _flat(jax.nn.one_hot(chosen, classes, dtype=self.logits.dtype))

    def relax(self, gumbel: jax.Array) -> jax.Array:
        """Turns Gumbel noise [..., P, C] into relaxed codes [..., P * C].

        References:
          Jang et al. 2017, arXiv 1611.01144, eq. 2.
        """
        return _flat(jax.nn.softmax((self.logits + gumbel) / self.temperature))


@kl_divergence.register(OneHotCodes, OneHotCodes)
def _kl_of_codes(q: OneHotCodes, p: OneHotCodes) -> jax.Array:
    """KL [...] of categorical codes, in nats."""
    return (q.mean * (q.log_probs - p.log_probs)).sum(-1)


class AutoregressiveCodes(Distribution):
    """p(c) = prod_i p(c_i | c_{<i}), by a masked network (`flows.Autoregressive`)."""

    pytree_data_fields = ("variables", "blank")
    pytree_aux_fields = ("network",)

    def __init__(self, network: nn.Module, variables: Params, blank: jax.Array):
        """Takes the network, its parameters, and zeros [P, C]."""
        self.network, self.variables, self.blank = network, variables, blank
        super().__init__((), (blank.size,), validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of codes [..., P * C], in nats."""
        return (value * _flat(jax.nn.log_softmax(self._logits(value)))).sum(-1)

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns codes [*sample_shape, P * C], one position after the other."""
        shape = (*sample_shape, *self.blank.shape)
        assert key is not None
        gumbel = jax.random.gumbel(key, shape, self.blank.dtype)

        def draw(_: int, codes: jax.Array) -> jax.Array:
            # Pass i makes position i final: it depends on the positions before.
            return OneHotCodes(self._logits(codes)).harden(gumbel)

        start = jnp.zeros((*sample_shape, self.blank.size), self.blank.dtype)
        return jax.lax.fori_loop(0, len(self.blank), draw, start)

    def _logits(self, codes: jax.Array) -> jax.Array:
        logits: Any = self.network.apply(self.variables, codes)
        return logits


class Quantized(Distribution):
    """A point mass at the codebook's nearest vectors.

    References:
      van den Oord et al. 2017, arXiv 1711.00937, eq. 1 to 3.
    """

    pytree_data_fields = ("encodings", "codebook")

    def __init__(self, encodings: jax.Array, codebook: jax.Array):
        """Takes the encoder's vectors [..., P, E] and the codebook [C, E]."""
        self.encodings, self.codebook = encodings, codebook
        size = encodings.shape[-2] * encodings.shape[-1]
        super().__init__(encodings.shape[:-2], (size,), validate_args=False)

    @property
    def codes(self) -> jax.Array:
        """The one-hot codes [..., P, C]."""
        return nearest(jax.lax.stop_gradient(self.encodings), self.codebook)

    @property
    def mean(self) -> jax.Array:
        """The chosen vectors, flat [..., P * E]; gradients go straight through to the
        encodings."""
        through = self.encodings - jax.lax.stop_gradient(self.encodings)
        return _flat(self._chosen + through)

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns the mean [*sample_shape, ..., P * E]: nothing is random."""
        del key
        return jnp.broadcast_to(self.mean, (*sample_shape, *self.mean.shape))

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns 0 [...]: the log-mass of the one code that is possible."""
        return jnp.zeros(value.shape[:-1], value.dtype)

    def commitment(self) -> jax.Array:
        """Squared distance [...] of the encodings from the vectors chosen for them."""
        return ((self.encodings - self._chosen) ** 2).sum((-1, -2))

    @property
    def _chosen(self) -> jax.Array:
        """The vectors [..., P, E] that are nearest to the encodings."""
        return jax.lax.stop_gradient(_rows_of(self.codebook, self.codes))


class EmbeddedCodes(Distribution):
    """Discrete codes seen as the vectors of a codebook, flat [..., P * E]."""

    pytree_data_fields = ("codes", "codebook")

    def __init__(self, codes: AnyDistribution, codebook: jax.Array):
        """Takes a distribution of one-hot codes and the codebook [C, E]."""
        self.codes, self.codebook = codes, codebook
        size = codes.event_shape[0] // len(codebook) * codebook.shape[-1]
        super().__init__(codes.batch_shape, (size,), validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns the log-mass [...] of the codes nearest to vectors [..., P * E]."""
        vectors = value.reshape(*value.shape[:-1], -1, self.codebook.shape[-1])
        return self.codes.log_prob(_flat(nearest(vectors, self.codebook)))

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns vectors [*sample_shape, ..., P * E]."""
        codes = self.codes.sample(key, sample_shape)
        one_hot = codes.reshape(*codes.shape[:-1], -1, len(self.codebook))
        return _flat(_rows_of(self.codebook, one_hot))


def _rows_of(codebook: jax.Array, one_hot: jax.Array) -> jax.Array:
    """Returns vectors [..., E] of a codebook [C, E], unrounded on any device."""
    return jnp.matmul(one_hot, codebook, precision="highest")


def nearest(vectors: jax.Array, codebook: jax.Array) -> jax.Array:
    """Returns one-hot [..., C]: which of a codebook [C, E] is nearest to [..., E]."""
    products = jnp.matmul(vectors, codebook.T, precision="highest")
    distances = (codebook**2).sum(-1) - 2 * products
    chosen = jnp.argmin(distances, -1)
    return jax.nn.one_hot(chosen, len(codebook), dtype=codebook.dtype)


def _flat(array: jax.Array) -> jax.Array:
    """[..., P, C] to [..., P * C]."""
    return array.reshape(*array.shape[:-2], -1)

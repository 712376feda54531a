"""A codebook of vectors, which moving averages train, and priors over them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae.distributions.categorical import EmbeddedCodes, Quantized
from vae.models.base import CODES, Prior
from vae.nn.layers import EMA_DECAY, density_dtype, ema
from vae.types import Distribution

# A codebook's vector is dead below this part of an equal share of the choices, and an
# encoding is offered to one vector in DRAWS.
DEAD, DRAWS = 0.1, 16


class Codebook(nn.Module):
    """`num_classes` vectors that are moving averages of the encodings assigned to them.

    They begin at encodings of the first images: see `VectorQuantized.start`.

    References:
      van den Oord et al. 2017, arXiv 1711.00937, appendix A.1.
    """

    num_classes: int
    embedding_dim: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        share, shape = 1 / self.num_classes, (self.num_classes, self.embedding_dim)
        dtype = density_dtype(self.dtype)
        self.average_count = self.param(
            "average_count", nn.initializers.constant(share), shape[:1], dtype
        )
        self.average_sum = self.param(
            "average_sum", nn.initializers.normal(share), shape, dtype
        )

    def __call__(self) -> jax.Array:
        """Returns the vectors [C, E]."""
        # Those never chosen rest far above this: see `ema_loss`.
        count = jnp.maximum(self.average_count, 1e-20)
        return jax.lax.stop_gradient(self.average_sum / count[:, None])

    def ema_loss(self, quantized: Quantized, keys: jax.Array) -> jax.Array:
        """Returns zero, whose gradient moves the averages towards this minibatch.

        The averages are how often a vector is chosen, a share of all choices, and the
        mean over choices of the encodings assigned to it. A vector that is hardly ever
        chosen (below `DEAD` of an equal share) is dead, and moves to encodings drawn at
        random. Which these are depends on the keys alone, so that devices that share a
        minibatch move it to the mean of theirs.

        Args:
          quantized: the minibatch, batch shape [B].
          keys: a key per example [B].

        References:
          van den Oord et al. 2017, arXiv 1711.00937, appendix A.1, eq. 6 to 8;
          Zeghidour et al. 2021, arXiv 2107.03312, sec. III.C, for dead vectors.
        """
        count, total = self.average_count, self.average_sum
        classes, positions = len(count), quantized.encodings.shape[-2]
        codes = quantized.codes.reshape(-1, classes)
        vectors = quantized.encodings.reshape(len(codes), -1)
        full = functools.partial(jnp.matmul, precision="highest")
        share, mean = codes.mean(0), full(codes.T, vectors) / len(codes)
        # Each encoding is offered to one of DRAWS * C places, C of them vectors. One
        # step of the averages then gives a vector about an equal share of the count.
        offers = jax.vmap(
            lambda key: jax.random.randint(key, (positions,), 0, DRAWS * classes)
        )(keys)
        offered = jax.nn.one_hot(offers.reshape(-1), classes, dtype=vectors.dtype)
        size = (count < DEAD / classes) * DRAWS / (1 - EMA_DECAY)
        share += size * offered.mean(0)
        mean += size[:, None] * (full(offered.T, vectors) / len(vectors))
        # One that is not chosen keeps its place: its averages shrink alike, and rest
        # before they vanish.
        rests = (share == 0) & (count < 1e-10)
        share, mean = (
            jnp.where(rests, count, share),
            jnp.where(rests[:, None], total, mean),
        )
        return ema(count, share) + ema(total, mean)


def start_codebook(encodings: jax.Array, num_classes: int, key: jax.Array) -> jax.Array:
    """Returns vectors [C, E] to begin with: encodings [N, E] evenly spaced, with noise
    of a hundredth of their spread, for there may be fewer than C or equal ones."""
    places = jnp.arange(num_classes) * len(encodings) // num_classes
    noise = jax.random.normal(key, (num_classes, encodings.shape[-1]), encodings.dtype)
    return encodings[places] + 0.01 * encodings.std() * noise


class Embedded(Prior):
    """A prior of codes, seen as vectors of the posterior's codebook."""

    codes: Prior
    posterior: Any  # the model's own, `VectorQuantized`

    space = CODES

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [P * E]."""
        return EmbeddedCodes(self.codes(condition), self.posterior.vectors())

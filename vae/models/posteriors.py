"""Approximate posteriors q(z | x): the encoder's features become a distribution.

Each says in `code_dim` how many numbers a code has.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from numpyro.distributions import Independent, MultivariateNormal, Normal

from vae import rng
from vae.distributions.codes import (
    OneHotCodes,
    Quantized,
    codebook_ema_loss,
    start_codebook,
)
from vae.distributions.hyperspherical import VonMisesFisher as SphericalDistribution
from vae.distributions.transformed import TransformedDistribution
from vae.nn.layers import at_least_float32, dense
from vae.types import Distribution, Params

# Standard deviations of what a layer puts out, which but for `softplus` is a
# log-variance: without bounds, as in Kingma & Welling 2013 (arXiv 1312.6114, appendix
# C), or with those of the VampPrior's code (Tomczak & Welling 2018, arXiv 1705.07120).
SCALES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "exp": lambda log_variance: jnp.exp(log_variance / 2),
    "bounded_exp": lambda log_variance: jnp.exp(jnp.clip(log_variance, -6, 2) / 2),
    "softplus": nn.softplus,
}


class _Continuous(nn.Module):
    """Codes of `latent_dim` numbers."""

    latent_dim: int
    dtype: Any = jnp.float32

    @property
    def code_dim(self) -> int:
        return self.latent_dim


class DiagonalGaussian(_Continuous):
    """q(z | x) = N(mean(h), diag(scale(h))^2)."""

    scale: str = "exp"  # a key of `SCALES`

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D]."""
        mean = dense(self.latent_dim, "mean", self.dtype)(features)
        name = "raw_scale" if self.scale == "softplus" else "log_variance"
        raw_scale = dense(self.latent_dim, name, self.dtype)(features)
        mean, raw_scale = at_least_float32(mean, raw_scale)
        return Independent(Normal(mean, SCALES[self.scale](raw_scale)), 1)


class FullGaussian(_Continuous):
    """q(z | x) = N(mean(h), L(h) L(h)^T), with L triangular and positive on its
    diagonal.

    References:
      Kingma & Welling 2019, arXiv 1906.02691, sec. 2.5.1.
    """

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D]."""
        size = self.latent_dim
        mean = dense(size, "mean", self.dtype)(features)
        log_diagonal = dense(size, "log_diagonal", self.dtype)(features)
        mean, log_diagonal = at_least_float32(mean, log_diagonal)
        rows, columns = jnp.tril_indices(size, -1)
        on = jnp.arange(size)
        tril = jnp.zeros((*mean.shape, size), mean.dtype)
        tril = tril.at[..., on, on].set(jnp.exp(log_diagonal))
        if size > 1:
            below = dense(len(rows), "below", self.dtype)(features)
            (below,) = at_least_float32(below)
            tril = tril.at[..., rows, columns].set(below)
        return MultivariateNormal(mean, scale_tril=tril)


class FlowPosterior(nn.Module):
    """A diagonal Gaussian sent through a flow, which is conditioned on the features.

    References:
      Rezende & Mohamed 2015, arXiv 1505.05770; Kingma et al. 2016, arXiv 1606.04934.
    """

    base: DiagonalGaussian
    flow: nn.Module  # see `vae.nn.flows`

    @property
    def code_dim(self) -> int:
        return self.base.latent_dim

    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D]."""
        base = self.base(features)
        (context,) = at_least_float32(features)
        if self.is_initializing():
            self.flow(base.mean, context)
        flow, variables = self.flow.unbind()
        return TransformedDistribution(base, flow, variables, context)


class VonMisesFisher(_Continuous):
    """q(z | x) on the unit sphere in `latent_dim` dimensions.

    The concentration is softplus + 1, as in the authors' code: below one the
    distribution is all but uniform.

    References:
      Davidson et al. 2018, arXiv 1804.00891 (S-VAE).
    """

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D]."""
        mean = dense(self.latent_dim, "mean", self.dtype)(features)
        concentration = dense(1, "concentration", self.dtype)(features)[..., 0]
        mean, concentration = at_least_float32(mean, concentration)
        direction = mean / jnp.sqrt((mean**2).sum(-1, keepdims=True) + 1e-12)
        return SphericalDistribution(direction, nn.softplus(concentration) + 1)


class RelaxedCategorical(nn.Module):
    """Categorical codes at `latent_dim` positions, relaxed while training.

    References:
      Jang et al. 2017, arXiv 1611.01144 (Gumbel-softmax), with its KL of the
      categorical distributions; Maddison et al. 2017, arXiv 1611.00712.
    """

    latent_dim: int
    num_classes: int
    temperature: float
    dtype: Any = jnp.float32

    @property
    def code_dim(self) -> int:
        return self.latent_dim * self.num_classes

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D],
        D = latent_dim * num_classes."""
        logits = dense(self.code_dim, "logits", self.dtype)(features)
        (logits,) = at_least_float32(logits)
        shape = (*logits.shape[:-1], self.latent_dim, self.num_classes)
        return OneHotCodes(logits.reshape(shape), self.temperature)


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
        share = 1 / self.num_classes
        self.average_count = self.param(
            "average_count",
            nn.initializers.constant(share),
            (self.num_classes,),
            self.dtype,
        )
        self.average_sum = self.param(
            "average_sum",
            nn.initializers.normal(share),
            (self.num_classes, self.embedding_dim),
            self.dtype,
        )

    def __call__(self) -> jax.Array:
        """Returns the vectors [C, E]."""
        # Those never chosen rest far above this: see `codebook_ema_loss`.
        count = jnp.maximum(self.average_count, 1e-20)
        return jax.lax.stop_gradient(self.average_sum / count[:, None])

    def ema_loss(self, quantized: Quantized, keys: jax.Array) -> jax.Array:
        """See `codes.codebook_ema_loss`."""
        return codebook_ema_loss(self.average_count, self.average_sum, quantized, keys)


class VectorQuantized(nn.Module):
    """Codes at `latent_dim` positions, each the nearest vector of one codebook.

    References:
      van den Oord et al. 2017, arXiv 1711.00937 (VQ-VAE).
    """

    latent_dim: int
    codebook: Codebook
    dtype: Any = jnp.float32

    @property
    def code_dim(self) -> int:
        return self.latent_dim * self.codebook.embedding_dim

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D],
        D = latent_dim * embedding_dim."""
        encodings = dense(self.code_dim, "encodings", self.dtype)(features)
        (encodings,) = at_least_float32(encodings)
        shape = (*encodings.shape[:-1], self.latent_dim, self.codebook.embedding_dim)
        return Quantized(encodings.reshape(shape), self.codebook())

    def ema_loss(
        self, posterior: Quantized, x: jax.Array, keys: jax.Array
    ) -> jax.Array:
        """Zero, whose gradient moves the codebook: see `layers.ema`."""
        del x
        keys = jax.vmap(lambda key: rng.named(key, "codebook"))(keys)
        return self.codebook.ema_loss(posterior, keys)

    @staticmethod
    def start(params: Params, posterior: Quantized, key: jax.Array) -> Params:
        """Returns this module's parameters with a codebook that begins at the encodings
        of the posterior, batch shape [B]."""
        count = params["codebook"]["average_count"]
        encodings = posterior.encodings.reshape(-1, posterior.encodings.shape[-1])
        vectors = start_codebook(encodings, len(count), key)
        book = {**params["codebook"], "average_sum": count[:, None] * vectors}
        return {**params, "codebook": book}

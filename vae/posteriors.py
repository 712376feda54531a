"""Approximate posteriors q(z | x): the encoder's features become a distribution."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from numpyro.distributions import Independent, Normal

from vae.layers import at_least_float32, dense
from vae.types import Distribution


class DiagonalGaussian(nn.Module):
    """q(z | x) = N(mean(h), diag(exp(log_variance(h)))).

    The log-variance is not bounded, as in Kingma & Welling 2013 (arXiv 1312.6114,
    appendix C).
    """

    latent_dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D]."""
        mean = dense(self.latent_dim, "mean", self.dtype)(features)
        log_variance = dense(self.latent_dim, "log_variance", self.dtype)(features)
        mean, log_variance = at_least_float32(mean, log_variance)
        return Independent(Normal(mean, jnp.exp(log_variance / 2)), 1)

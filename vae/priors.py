"""Priors p(z)."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from numpyro.distributions import Independent, Normal

from vae.types import Distribution


class StandardNormal(nn.Module):
    """p(z) = N(0, I)."""

    latent_dim: int
    dtype: Any = jnp.float32

    def __call__(self) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        dtype = jnp.promote_types(self.dtype, jnp.float32)
        zeros = jnp.zeros(self.latent_dim, dtype)
        return Independent(Normal(zeros, jnp.ones_like(zeros)), 1)

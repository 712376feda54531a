"""Differentiable samples of the approximate posterior.

References:
  Kingma & Welling 2013, arXiv 1312.6114, sec. 2.4.
"""

from typing import Any

import jax
from numpyro.distributions import Independent, Normal

from vae import rng
from vae.types import Distribution


def sample(posterior: Distribution, keys: jax.Array) -> jax.Array:
    """Returns differentiable samples z [K, B, D] of a posterior of batch shape [B].

    Args:
      posterior: a diagonal Gaussian, event shape [D].
      keys: one key per sample and example [K, B], from `rng.per_sample`.
    """
    gaussian = posterior.base_dist if isinstance(posterior, Independent) else None
    if not isinstance(gaussian, Normal):
        raise TypeError(f"no reparameterised samples of {posterior}")
    mean: Any = gaussian.loc
    return mean + gaussian.scale * rng.normal(keys, mean.shape[-1], mean.dtype)

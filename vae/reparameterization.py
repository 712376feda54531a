"""Differentiable samples of the approximate posterior.

References:
  Kingma & Welling 2013, arXiv 1312.6114, sec. 2.4.
"""

import jax
from numpyro.distributions import Distribution, Independent, Normal

from vae import rng


def sample(posterior: Distribution, keys: jax.Array) -> jax.Array:
    """Returns differentiable samples z [K, B, D] of a posterior of batch shape [B].

    Args:
      posterior: a diagonal Gaussian, event shape [D].
      keys: one key per sample and example [K, B], from `rng.per_sample`.
    """
    match posterior:
        case Independent(base_dist=Normal(loc=loc, scale=scale)):
            return loc + scale * rng.normal(keys, loc.shape[-1], loc.dtype)
        case _:
            raise TypeError(f"no reparameterised samples of {type(posterior).__name__}")

"""Penalties that ask the aggregate posterior for an identity covariance (DIP-VAE).

References:
  Kumar et al. 2018, arXiv 1711.00848.
"""

import jax
import jax.numpy as jnp

from vae.distributions.gaussians import is_diagonal_gaussian
from vae.fields import Weight
from vae.objectives.base import (
    Moment,
    posterior_of_example,
)
from vae.types import Distribution, ElboTerms, Inference, Metrics, Unsupported


def dip_vae(
    inference: Inference,
    terms: ElboTerms,
    moment: Moment,
    *,
    of_codes: bool,
    lambda_od: Weight = 10.0,
    lambda_d: Weight = 100.0,
) -> tuple[jax.Array, Metrics]:
    """rate + lambda_od * sum_{i != j} C_ij^2 + lambda_d * sum_i (C_ii - 1)^2.

    C is the covariance of the posterior means (DIP-VAE-I, eq. 6), or of the codes
    (DIP-VAE-II, eq. 7), which adds the mean covariance of the posteriors.

    Raises:
      Unsupported: the posterior is not a diagonal Gaussian.
    """
    del moment
    value = terms.rate.mean()
    for group in inference.groups:
        covariance = _covariance(posterior_of_example(group), of_codes)
        diagonal = jnp.diagonal(covariance)
        off_diagonal = covariance - jnp.diag(diagonal)
        value += lambda_od * (off_diagonal**2).sum()
        excess = (diagonal - 1) * group.used
        value += lambda_d * (excess**2).sum()
    return value, {}


def _covariance(posterior: Distribution, of_codes: bool) -> jax.Array:
    """The minibatch's covariance [D, D] of posterior means, or of codes."""
    if not is_diagonal_gaussian(posterior):
        raise Unsupported("needs the posterior's mean and variance of every dimension")
    centred = posterior.mean - posterior.mean.mean(0)
    products = jnp.matmul(centred.T, centred, precision="highest")
    covariance = products / len(centred)
    return covariance + jnp.diag(posterior.variance.mean(0)) if of_codes else covariance

"""Penalties that ask the aggregate posterior for an identity covariance (DIP-VAE).

References:
  Kumar et al. 2018, arXiv 1711.00848.
"""

import jax
import jax.numpy as jnp

from vae.distributions.padded import dimensions_in_use
from vae.fields import Weight
from vae.objectives.base import Moment, is_diagonal_gaussian
from vae.types import Distribution, ElboTerms, Inference, Metrics, Unsupported


def dip_vae_i(
    inference: Inference,
    terms: ElboTerms,
    moment: Moment,
    *,
    lambda_od: Weight = 10.0,
    lambda_d: Weight = 100.0,
) -> tuple[jax.Array, Metrics]:
    """rate + lambda_od * sum_{i != j} C_ij^2 + lambda_d * sum_i (C_ii - 1)^2, where C
    is the covariance of the posterior means (eq. 6).

    Raises:
      Unsupported: the posterior is not a diagonal Gaussian.
    """
    del moment
    covariances = [_of_means(group.posterior) for group in inference.groups]
    return _penalize(inference, terms, covariances, lambda_od, lambda_d), {}


def dip_vae_ii(
    inference: Inference,
    terms: ElboTerms,
    moment: Moment,
    *,
    lambda_od: Weight = 10.0,
    lambda_d: Weight = 100.0,
) -> tuple[jax.Array, Metrics]:
    """As `dip_vae_i`, where C is the covariance of the codes (eq. 7): that of the means
    plus the mean covariance of the posteriors."""
    del moment
    covariances = [
        _of_means(group.posterior) + jnp.diag(group.posterior.variance.mean(0))
        for group in inference.groups
    ]
    return _penalize(inference, terms, covariances, lambda_od, lambda_d), {}


def _of_means(posterior: Distribution) -> jax.Array:
    """The minibatch's covariance [D, D] of posterior means."""
    if not is_diagonal_gaussian(posterior):
        raise Unsupported("needs the posterior's mean and variance of every dimension")
    centred = posterior.mean - posterior.mean.mean(0)
    return centred.T @ centred / len(centred)


def _penalize(
    inference: Inference,
    terms: ElboTerms,
    covariances: list[jax.Array],
    lambda_od: float,
    lambda_d: float,
) -> jax.Array:
    """The rate, and the weighted squared distances of covariances from the identity."""
    value = terms.rate.mean()
    for group, covariance in zip(inference.groups, covariances, strict=True):
        diagonal = jnp.diagonal(covariance)
        off_diagonal = covariance - jnp.diag(diagonal)
        value += lambda_od * (off_diagonal**2).sum()
        excess = (diagonal - 1) * dimensions_in_use(group.posterior)
        value += lambda_d * (excess**2).sum()
    return value

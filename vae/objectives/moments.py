"""Objectives that ask the aggregate posterior for an identity covariance (DIP-VAE).

References:
  Kumar et al. 2018, arXiv 1711.00848.
"""

import jax
import jax.numpy as jnp

from vae.distributions.padded import dimensions_in_use
from vae.objectives.elbo import Penalty, is_diagonal_gaussian, whole_batch
from vae.types import Distribution, UserError


def dip_vae(*, of_codes: bool, axis_name: str | None) -> Penalty:
    """rate + lambda_od * sum_{i != j} C_ij^2 + lambda_d * sum_i (C_ii - 1)^2.

    C is the covariance of the posterior means (DIP-VAE-I, eq. 6), or of the codes
    (DIP-VAE-II, eq. 7), which adds the mean covariance of the posteriors.

    Raises:
      UserError: the posterior is no diagonal Gaussian.
    """

    def penalty(inference, terms, moment):
        value = terms.rate.mean()
        for group in inference.groups:
            covariance = _covariance(group.posterior, of_codes, axis_name)
            diagonal = jnp.diagonal(covariance)
            off_diagonal = covariance - jnp.diag(diagonal)
            value += moment.hparams["lambda_od"] * (off_diagonal**2).sum()
            excess = (diagonal - 1) * dimensions_in_use(group.posterior)
            value += moment.hparams["lambda_d"] * (excess**2).sum()
        return value, {}

    return penalty


def _covariance(
    posterior: Distribution, of_codes: bool, axis_name: str | None
) -> jax.Array:
    """The minibatch's covariance [D, D] of posterior means, or of codes."""
    if not is_diagonal_gaussian(posterior):
        raise UserError(
            "dip_vae_i and dip_vae_ii need the posterior's mean and variance: choose "
            "model.posterior.name=diagonal_gaussian"
        )
    means = whole_batch(posterior.mean, 0, axis_name)
    centred = means - means.mean(0)
    covariance = centred.T @ centred / len(means)
    if of_codes:
        variances = whole_batch(posterior.variance, 0, axis_name)
        covariance += jnp.diag(variances.mean(0))
    return covariance

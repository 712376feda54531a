"""Importance-weighted bounds as training criteria.

References:
  Burda et al. 2015, arXiv 1509.00519 (IWAE).
  Rainforth et al. 2018, arXiv 1802.04537 (MIWAE and CIWAE).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vae.models.base import Model
from vae.objectives.elbo import Hparams, elbo_terms, infer, no_parameters, report
from vae.types import Batch, ElboTerms, Metrics, Objective, Params

# (terms, hyperparameters) -> bound, to be maximised
Bound = Callable[[ElboTerms, Hparams], jax.Array]


def make_importance_weighted(
    model: Model, bound: Bound, *, num_samples: int
) -> Objective:
    """Maximises a bound of the importance weights of `num_samples` samples."""

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        del step
        inference = infer(model, params, batch, key, num_samples)
        terms = elbo_terms(inference, batch.image)
        value = -bound(terms, hparams)
        return value, report(value, terms)

    return Objective(no_parameters, loss)


def iwae(terms: ElboTerms, hparams: Hparams) -> jax.Array:
    """L_K = log 1/K sum_k w_k with all K samples in one bound (IWAE, eq. 8)."""
    del hparams
    return _log_mean_exp(terms.log_weights).mean()


def miwae(num_bounds: int) -> Bound:
    """The mean of `num_bounds` bounds, which share the samples equally (MIWAE)."""

    def bound(terms: ElboTerms, hparams: Hparams) -> jax.Array:
        del hparams
        samples, examples = terms.log_weights.shape
        groups = terms.log_weights.reshape(num_bounds, samples // num_bounds, examples)
        return jax.vmap(_log_mean_exp)(groups).mean()

    return bound


def ciwae(terms: ElboTerms, hparams: Hparams) -> jax.Array:
    """elbo_share * ELBO + (1 - elbo_share) * L_K (CIWAE, where the share is beta)."""
    elbo = -(terms.distortion + terms.rate).mean()
    share = hparams["elbo_share"]
    return share * elbo + (1 - share) * _log_mean_exp(terms.log_weights).mean()


def _log_mean_exp(log_weights: jax.Array) -> jax.Array:
    """[K, B] to [B]."""
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(len(log_weights))

"""Importance-weighted bounds as training criteria.

References:
  Burda et al. 2015, arXiv 1509.00519 (IWAE).
  Rainforth et al. 2018, arXiv 1802.04537 (MIWAE, CIWAE and PIWAE).
  Tucker et al. 2019, arXiv 1810.04152 (DReG).
  Roeder et al. 2017, arXiv 1703.09194 (sticking the landing).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vae.distributions.reparameterization import frozen_log_prob
from vae.models.base import Model
from vae.objectives.elbo import (
    Hparams,
    conclude,
    elbo_terms,
    has_relaxed_codes,
    infer,
    no_parameters,
)
from vae.types import (
    Batch,
    ElboTerms,
    Inference,
    Metrics,
    Objective,
    Params,
    UserError,
)

# (inference, its terms, hyperparameters) -> bound, to be maximised
Bound = Callable[[Inference, ElboTerms, Hparams], jax.Array]


def make_importance_weighted(
    model: Model, bound: Bound, *, num_samples: int
) -> Objective:
    """Maximises a bound of the importance weights of `num_samples` samples."""

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        del step
        inference = infer(model, params, hparams, batch, key, num_samples=num_samples)
        _check_density(inference)
        terms = elbo_terms(inference, batch.image)
        return conclude(-bound(inference, terms, hparams), inference, terms, {})

    return Objective(no_parameters, loss)


def make_two_sided(
    model: Model, generative: Bound, inferential: Bound, *, num_samples: int
) -> Objective:
    """Trains p(x, z) by one bound and q(z | x) by another, on the same samples.

    The model is written down twice, with either half of its parameters held; the
    compiler computes what both share once. The loss told is that of p.

    Raises:
      UserError: the prior shares parameters with q.
    """
    own = set(model.inference_parts)

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        del step
        if hasattr(model.prior, "encoder"):
            raise UserError(
                "piwae and dreg train encoder and decoder apart, but "
                "model.prior.name=vamp holds the encoder: choose another prior, or "
                "objective.name=iwae"
            )

        def loss_of(bound: Bound, held: set[str]):
            parts = {
                name: jax.lax.stop_gradient(part) if name in held else part
                for name, part in params["model"].items()
            }
            inference = infer(
                model, {"model": parts}, hparams, batch, key, num_samples=num_samples
            )
            _check_density(inference)
            terms = elbo_terms(inference, batch.image)
            return -bound(inference, terms, hparams), inference, terms

        value, inference, terms = loss_of(generative, own)
        other, inferred, _ = loss_of(inferential, set(params["model"]) - own)
        other += inferred.aux["ema_loss"]  # of the posterior, held before
        total, metrics = conclude(value, inference, terms, {})
        return total + other - jax.lax.stop_gradient(other), metrics

    return Objective(no_parameters, loss)


def iwae(inference: Inference, terms: ElboTerms, hparams: Hparams) -> jax.Array:
    """L_K = log 1/K sum_k w_k with all K samples in one bound (IWAE, eq. 8)."""
    del inference, hparams
    return _log_mean_exp(terms.log_weights).mean()


def miwae(num_bounds: int) -> Bound:
    """The mean of `num_bounds` bounds, which share the samples equally (MIWAE)."""

    def bound(inference, terms, hparams):
        del inference, hparams
        samples, examples = terms.log_weights.shape
        groups = terms.log_weights.reshape(num_bounds, samples // num_bounds, examples)
        return jax.vmap(_log_mean_exp)(groups).mean()

    return bound


def ciwae(inference: Inference, terms: ElboTerms, hparams: Hparams) -> jax.Array:
    """elbo_share * ELBO + (1 - elbo_share) * L_K (CIWAE, where the share is beta)."""
    elbo = -(terms.distortion + terms.rate).mean()
    share = hparams["elbo_share"]
    return share * elbo + (1 - share) * iwae(inference, terms, hparams)


def dreg(inference: Inference, terms: ElboTerms, hparams: Hparams) -> jax.Array:
    """A surrogate, not a bound: its gradient by the encoder is that of L_K in the mean,
    sum_k (w_k / sum w)^2 d log w_k / dz dz/dphi, with less variance (DReG, eq. 8)."""
    del hparams
    share = jax.lax.stop_gradient(jax.nn.softmax(terms.log_weights, axis=0))
    return (share**2 * _path_log_weights(inference, terms)).sum(0).mean()


def sticking_the_landing(
    inference: Inference, terms: ElboTerms, hparams: Hparams
) -> jax.Array:
    """The sampled ELBO without the score function of q in its gradient, which then
    vanishes, sample by sample, at the exact posterior (Roeder et al., eq. 7)."""
    del hparams
    return _path_log_weights(inference, terms).mean()


def _path_log_weights(inference: Inference, terms: ElboTerms) -> jax.Array:
    """log w [K, B] that depends on q's parameters through z only."""
    try:
        frozen = sum(frozen_log_prob(group) for group in inference.groups)
    except NotImplementedError as error:
        raise UserError(
            "dreg and sticking_the_landing need log q(z | x) of any z, but "
            f"model.posterior.name's {error}: choose flow iaf or coupling, or "
            "objective.name=iwae"
        ) from error
    return terms.log_weights + sum(group.log_q for group in inference.groups) - frozen


def _check_density(inference: Inference) -> None:
    """Refuses relaxed codes, whose importance weights mean nothing."""
    if has_relaxed_codes(inference):
        raise UserError(
            "importance-weighted objectives need a density ratio p(x, z) / q(z | x), "
            "but the model's codes are discrete and relaxed in training: choose "
            "objective.name=elbo or a continuous model.posterior.name"
        )


def _log_mean_exp(log_weights: jax.Array) -> jax.Array:
    """[K, B] to [B]."""
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(len(log_weights))

"""Importance-weighted bounds as training criteria.

References:
  Burda et al. 2015, arXiv 1509.00519 (IWAE).
  Rainforth et al. 2018, arXiv 1802.04537 (MIWAE, CIWAE and PIWAE).
  Tucker et al. 2019, arXiv 1810.04152 (DReG).
  Li & Turner 2016, arXiv 1602.02311 (the Renyi bound).
  Roeder et al. 2017, arXiv 1703.09194 (sticking the landing).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vae.distributions.reparameterization import frozen_log_prob
from vae.fields import Count, Number, Share, traced_of
from vae.models.base import Model
from vae.objectives.base import (
    Hparams,
    conclude,
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
    Unsupported,
)

# (inference, its terms, *, fields) -> bound, to be maximised
Bound = Callable[..., jax.Array]


def make_importance_weighted(
    model: Model, bound: Bound, *, num_samples: Count = 1
) -> Objective:
    """Maximises a bound of the importance weights of `num_samples` samples."""

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        del step
        inference, terms = infer(
            model, params, hparams, batch, key, num_samples=num_samples
        )
        value = _loss_of(bound, inference, terms, hparams)
        return conclude(value, inference, terms, {})

    return Objective(no_parameters, loss)


def make_two_sided(
    model: Model, generative: Bound, inferential: Bound, *, num_samples: Count = 1
) -> Objective:
    """Trains p(x, z) by one bound and q(z | x) by another, on the same samples.

    The model is traced twice, each time with one half of the parameters under
    stop_gradient; XLA removes the duplicate work. The reported loss is that of p.

    Raises:
      Unsupported: p shares parameters with q.
    """
    own = set(model.inference_parts)

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        del step
        if model.shares_inference:
            raise Unsupported("needs p(x, z) that shares no parameters with q(z | x)")

        def infer_with(held: set[str]) -> tuple[Inference, ElboTerms]:
            parts = {
                name: jax.lax.stop_gradient(part) if name in held else part
                for name, part in params["model"].items()
            }
            return infer(
                model, {"model": parts}, hparams, batch, key, num_samples=num_samples
            )

        inference, terms = infer_with(own)
        value = _loss_of(generative, inference, terms, hparams)
        inferred, inferred_terms = infer_with(set(params["model"]) - own)
        other = _loss_of(inferential, inferred, inferred_terms, hparams)
        other += inferred.aux["ema_loss"]  # of the posterior, held before
        total, metrics = conclude(value, inference, terms, {})
        return total + other - jax.lax.stop_gradient(other), metrics

    return Objective(no_parameters, loss)


def _loss_of(
    bound: Bound, inference: Inference, terms: ElboTerms, hparams: Hparams
) -> jax.Array:
    """Minus the bound; refuses relaxed codes, whose importance weights mean nothing."""
    if has_relaxed_codes(inference):
        raise Unsupported("needs a density q(z | x), which relaxed codes do not have")
    return -bound(inference, terms, **traced_of(bound, hparams))


def iwae(inference: Inference, terms: ElboTerms) -> jax.Array:
    """L_K = log 1/K sum_k w_k with all K samples in one bound (IWAE, eq. 8).

    Of a model with `observed_only` it bounds the log-density of the observed values.
    Mattei & Frellsen call that MIWAE, the missing data IWAE.

    References:
      Mattei & Frellsen 2019, arXiv 1812.02633, eq. 4.
    """
    del inference
    return _log_mean_exp(terms.log_weights).mean()


def miwae(
    inference: Inference, terms: ElboTerms, *, num_bounds: Count = 1
) -> jax.Array:
    """The mean of `num_bounds` bounds, which share the samples equally: the multiply
    importance-weighted autoencoder of Rainforth et al. The MIWAE for missing data of
    Mattei & Frellsen is another, `iwae` with missing values.

    Raises:
      Unsupported: the number of samples is not a multiple of `num_bounds`.
    """
    del inference
    samples, examples = terms.log_weights.shape
    if samples % num_bounds:
        raise Unsupported(f"cannot share {samples} samples among {num_bounds} bounds")
    groups = terms.log_weights.reshape(num_bounds, samples // num_bounds, examples)
    return jax.vmap(_log_mean_exp)(groups).mean()


def ciwae(
    inference: Inference, terms: ElboTerms, *, elbo_share: Share = 0.5
) -> jax.Array:
    """elbo_share * ELBO + (1 - elbo_share) * L_K (CIWAE, where the share is beta)."""
    elbo = -(terms.distortion + terms.rate).mean()
    return elbo_share * elbo + (1 - elbo_share) * iwae(inference, terms)


def renyi(inference: Inference, terms: ElboTerms, *, alpha: Number = 0.0) -> jax.Array:
    """1 / (1 - alpha) log 1/K sum_k w_k^(1 - alpha), the variational Renyi bound of K
    samples: IWAE's for alpha = 0, the sampled ELBO for alpha = 1 or K = 1. For negative
    alpha and many samples it may lie above log p(x).

    References:
      Li & Turner 2016, arXiv 1602.02311, eq. 13.
    """
    del inference
    power = 1 - alpha
    safe = jnp.where(power == 0, 1, power)  # keeps the gradient of the other branch
    bound = _log_mean_exp(safe * terms.log_weights) / safe
    return jnp.where(power == 0, terms.log_weights.mean(0), bound).mean()


def dreg(inference: Inference, terms: ElboTerms) -> jax.Array:
    """A surrogate, not a bound: its gradient by the encoder is that of L_K in the mean,
    sum_k (w_k / sum w)^2 d log w_k / dz dz/dphi, with less variance (DReG, eq. 8).

    Raises:
      Unsupported: log q(z | x) is not known for every z.
    """
    share = jax.lax.stop_gradient(jax.nn.softmax(terms.log_weights, axis=0))
    return (share**2 * _path_log_weights(inference, terms)).sum(0).mean()


def sticking_the_landing(inference: Inference, terms: ElboTerms) -> jax.Array:
    """The sampled ELBO without the score function of q in its gradient, which then
    vanishes, sample by sample, at the exact posterior (Roeder et al., eq. 7).

    Raises:
      Unsupported: log q(z | x) is not known for every z.
    """
    return _path_log_weights(inference, terms).mean()


def _path_log_weights(inference: Inference, terms: ElboTerms) -> jax.Array:
    """log w [K, B] that depends on q's parameters through z only."""
    try:
        frozen = _frozen_log_q(inference)
    except NotImplementedError as error:
        raise Unsupported("needs log q(z | x) of any z") from error
    return terms.log_weights + sum(group.log_q for group in inference.groups) - frozen


def _frozen_log_q(inference: Inference) -> jax.Array:
    """Returns log q(z | x) [K, B] with gradients by z, but none by q's parameters."""
    if "frozen_log_q" in inference.aux:  # of several groups
        return inference.aux["frozen_log_q"]
    (group,) = inference.groups
    return frozen_log_prob(group)


def _log_mean_exp(log_weights: jax.Array) -> jax.Array:
    """[K, B] to [B]."""
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(len(log_weights))

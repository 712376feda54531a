"""The evidence lower bound, and what is trained by weighing its rate differently.

References:
  Kingma & Welling 2013, arXiv 1312.6114, eq. 3 (the bound).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from numpyro.distributions import kl_divergence

from vae import rng
from vae.models.base import Model
from vae.objectives.schedules import Growth
from vae.types import (
    Batch,
    Distribution,
    ElboTerms,
    Inference,
    LatentGroup,
    Metrics,
    Objective,
    Params,
)

Hparams = dict[str, jax.Array]
# (inference, its terms, hyperparameters, step) -> what is added to the distortion
Penalty = Callable[[Inference, ElboTerms, Hparams, jax.Array], jax.Array]


def elbo_terms(inference: Inference, x: jax.Array) -> ElboTerms:
    """Returns the terms of the bound for images x [B, H, W, C]; see `ElboTerms`."""
    log_likelihood = inference.likelihood.log_prob(x)
    rates = jnp.stack(
        [jnp.broadcast_to(_rate(g), log_likelihood.shape) for g in inference.groups]
    )
    log_ratios = -sum(_log_ratio(group) for group in inference.groups)
    return ElboTerms(
        distortion=-log_likelihood,
        rate=rates.sum(0),
        rate_per_group=rates,
        log_weights=log_likelihood + log_ratios,
    )


def _rate(group: LatentGroup) -> jax.Array:
    """KL(q(z | x) || p(z)): [B] in closed form, or estimated by each sample [K, B]."""
    try:
        return jnp.asarray(kl_divergence(group.posterior, group.prior))
    except NotImplementedError:
        return _log_ratio(group)


def _log_ratio(group: LatentGroup) -> jax.Array:
    """log q(z | x) - log p(z), [K, B]."""
    return group.posterior.log_prob(group.z) - group.prior.log_prob(group.z)


def kl_per_dimension(posterior: Distribution, prior: Distribution) -> jax.Array:
    """Returns KL [B, D] of a factorised posterior from a factorised prior, in nats."""
    return jnp.asarray(kl_divergence(posterior.base_dist, prior.base_dist))


def infer(
    model: Model, params: Params, batch: Batch, key: jax.Array, samples: int
) -> Inference:
    """Runs the model on a training batch: the one place where objectives do."""
    return model.apply(
        {"params": params["model"]},
        batch.image,
        rng.per_example(key, batch.position),
        num_samples=samples,
        train=True,
    )


def no_parameters(key: jax.Array, batch: Batch) -> Params:
    """The `init` of an objective without parameters of its own."""
    del key, batch
    return {}


def report(loss: jax.Array, terms: ElboTerms) -> Metrics:
    """Returns the metrics that every objective tells, means over the batch."""
    distortion, rate = terms.distortion.mean(), terms.rate.mean()
    return {
        "loss": loss,
        "elbo_nats": -(distortion + rate),
        "distortion_nats": distortion,
        "rate_nats": rate,
    }


def make_penalized(
    model: Model, penalty: Penalty, *, num_samples: int = 1
) -> Objective:
    """Minimises distortion + penalty, the mean over samples and examples."""

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        inference = infer(model, params, batch, key, num_samples)
        terms = elbo_terms(inference, batch.image)
        value = terms.distortion.mean() + penalty(inference, terms, hparams, step)
        return value, report(value, terms)

    return Objective(no_parameters, loss)


def beta_vae(growth: Growth) -> Penalty:
    """beta * rate: beta multiplies the KL in nats; 1 without growth is the VAE.

    References:
      Higgins et al. 2017, beta-VAE, eq. 4.
    """

    def penalty(inference, terms, hparams, step):
        del inference
        weight = hparams["beta"] * growth(step, hparams["growth_steps"])
        return weight * terms.rate.mean()

    return penalty


def capacity(growth: Growth) -> Penalty:
    """gamma * |rate - C|, with the capacity C in nats growing to `hparams["capacity"]`.

    References:
      Burgess et al. 2018, arXiv 1804.03599, eq. 8.
    """

    def penalty(inference, terms, hparams, step):
        del inference
        target = hparams["capacity"] * growth(step, hparams["growth_steps"])
        return hparams["gamma"] * jnp.abs(terms.rate.mean() - target)

    return penalty


def free_bits_per_group(growth: Growth) -> Penalty:
    """beta * sum over groups of max(rate of the group, `hparams["free_nats"]`).

    The rate is the mean over the minibatch, so no example is held back by others.

    References:
      Kingma et al. 2016, arXiv 1606.04934, eq. 15.
    """

    def penalty(inference, terms, hparams, step):
        del inference
        rates = terms.rate_per_group.mean((1, 2))
        weight = hparams["beta"] * growth(step, hparams["growth_steps"])
        return weight * jnp.maximum(rates, hparams["free_nats"]).sum()

    return penalty


def free_bits_per_dimension(growth: Growth) -> Penalty:
    """As `free_bits_per_group`, for every latent dimension by itself."""

    def penalty(inference, terms, hparams, step):
        del terms
        weight = hparams["beta"] * growth(step, hparams["growth_steps"])
        rates = [kl_per_dimension(g.posterior, g.prior) for g in inference.groups]
        free = hparams["free_nats"]
        return weight * sum(jnp.maximum(rate.mean(0), free).sum() for rate in rates)

    return penalty

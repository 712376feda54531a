"""The evidence lower bound and its weighted form.

References:
  Kingma & Welling 2013, arXiv 1312.6114, eq. 3 (the bound).
  Higgins et al. 2017, beta-VAE, eq. 4 (the weight on the KL).
"""

import jax
import jax.numpy as jnp
from numpyro.distributions import kl_divergence

from vae import rng
from vae.models.base import Model
from vae.types import (
    Batch,
    Distribution,
    ElboTerms,
    Inference,
    Metrics,
    Objective,
)


def elbo_terms(inference: Inference, x: jax.Array) -> ElboTerms:
    """Returns the terms of the bound for images x [B, H, W, C]; see `ElboTerms`."""
    log_likelihood = inference.likelihood.log_prob(x)
    rates = jnp.stack(
        [
            jnp.broadcast_to(
                kl_divergence(group.posterior, group.prior), log_likelihood.shape
            )
            for group in inference.groups
        ]
    )
    log_ratios = sum(
        group.prior.log_prob(group.z) - group.posterior.log_prob(group.z)
        for group in inference.groups
    )
    return ElboTerms(
        distortion=-log_likelihood,
        rate=rates.sum(0),
        rate_per_group=rates,
        log_weights=log_likelihood + log_ratios,
    )


def kl_per_dimension(posterior: Distribution, prior: Distribution) -> jax.Array:
    """Returns KL [B, D] of a factorised posterior from a factorised prior, in nats."""
    return jnp.asarray(kl_divergence(posterior.base_dist, prior.base_dist))


def make_beta_vae(model: Model) -> Objective:
    """Minimises distortion + beta * rate; beta is `hparams["beta"]`.

    Beta multiplies the KL in nats of a normalised likelihood; 1 gives the VAE.
    """

    def init(key: jax.Array, batch: Batch) -> dict:
        del key, batch
        return {}

    def loss(
        params: dict,
        batch: Batch,
        key: jax.Array,
        hparams: dict[str, jax.Array],
        step: jax.Array,
    ) -> tuple[jax.Array, Metrics]:
        del step
        inference = model.apply(
            {"params": params["model"]},
            batch.image,
            rng.per_example(key, batch.position),
            train=True,
        )
        terms = elbo_terms(inference, batch.image)
        distortion, rate = terms.distortion.mean(), terms.rate.mean()
        loss = distortion + hparams["beta"] * rate
        return loss, {
            "loss": loss,
            "elbo_nats": -(distortion + rate),
            "distortion_nats": distortion,
            "rate_nats": rate,
        }

    return Objective(init, loss)

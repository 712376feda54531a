"""The evidence lower bound, and what is trained by weighing its rate differently.

References:
  Kingma & Welling 2013, arXiv 1312.6114, eq. 3 (the bound).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpyro.distributions import Independent, Normal, kl_divergence

from vae import rng
from vae.distributions.categorical import OneHotCodes
from vae.distributions.padded import dimensions_in_use
from vae.models.base import Model
from vae.models.padding import variables_of
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
    UserError,
)

Hparams = dict[str, jax.Array]


class Moment(NamedTuple):
    """Where training stands, for what depends on it."""

    hparams: Hparams
    step: jax.Array
    key: jax.Array  # of this step, the same for the whole batch


# (inference, its terms, moment) -> what is added to the distortion, metrics of its own
Penalty = Callable[[Inference, ElboTerms, Moment], tuple[jax.Array, Metrics]]


def elbo_terms(inference: Inference, x: jax.Array) -> ElboTerms:
    """Returns the terms of the bound for images x [B, H, W, C]; see `ElboTerms`."""
    log_likelihood = inference.likelihood.log_prob(x)
    rates = jnp.stack(
        [jnp.broadcast_to(_rate(g), log_likelihood.shape) for g in inference.groups]
    )
    log_ratio = sum(_log_ratio(group) for group in inference.groups)
    return ElboTerms(
        distortion=-log_likelihood,
        rate=rates.sum(0),
        rate_per_group=rates,
        log_weights=log_likelihood - log_ratio,
    )


def _rate(group: LatentGroup) -> jax.Array:
    """KL(q(z | x) || p(z)): [B] in closed form, or estimated by each sample [K, B]."""
    try:
        return jnp.asarray(kl_divergence(group.posterior, group.prior))
    except NotImplementedError:
        return _log_ratio(group)


def _log_ratio(group: LatentGroup) -> jax.Array:
    """log q(z | x) - log p(z), [K, B]."""
    return group.log_q - group.prior.log_prob(group.z)


def kl_per_dimension(group: LatentGroup) -> jax.Array | None:
    """Returns KL [B, D] in nats, or None where it is no sum over dimensions."""
    if not (
        is_diagonal_gaussian(group.posterior) and is_diagonal_gaussian(group.prior)
    ):
        return None
    return jnp.asarray(kl_divergence(group.posterior.base_dist, group.prior.base_dist))


def is_diagonal_gaussian(distribution: Distribution) -> bool:
    """Says if a distribution is a product of normals over its dimensions."""
    if not isinstance(distribution, Independent):
        return False
    return isinstance(distribution.base_dist, Normal)


def has_relaxed_codes(inference: Inference) -> bool:
    """Says if codes are discrete, which training replaces by relaxed ones."""
    return any(isinstance(group.posterior, OneHotCodes) for group in inference.groups)


def infer(
    model: Model,
    params: Params,
    hparams: Hparams,
    batch: Batch,
    key: jax.Array,
    *,
    num_samples: int,
) -> Inference:
    """Runs the model on a training batch: the one place where objectives do."""
    return model.apply(
        variables_of(params["model"], hparams),
        batch.image,
        rng.per_example(key, batch.position),
        label=batch.label,
        num_samples=num_samples,
        train=True,
    )


def no_parameters(key: jax.Array, batch: Batch) -> Params:
    """The `init` of an objective without parameters of its own."""
    del key, batch
    return {}


def conclude(
    value: jax.Array, inference: Inference, terms: ElboTerms, metrics: Metrics
) -> tuple[jax.Array, Metrics]:
    """Returns what `Objective.loss` does: the loss, and the metrics that every
    objective tells beside its own `metrics`, means over the batch.

    Here the moving averages of the model join the loss: see `layers.track`.
    """
    distortion, rate = terms.distortion.mean(), terms.rate.mean()
    return value + inference.aux["ema_loss"], {
        "loss": value,
        "elbo_nats": -(distortion + rate),
        "distortion_nats": distortion,
        "rate_nats": rate,
        **metrics,
    }


def whole_batch(array: jax.Array, axis: int, axis_name: str | None) -> jax.Array:
    """Gathers the batch along `axis` from all devices of a `pmap` (None: it is whole).

    Objectives that couple examples read the whole batch, so that they do not depend on
    the number of devices. Each device then has the whole gradient of its own part.
    """
    if axis_name is None:
        return array
    return jax.lax.all_gather(array, axis_name, axis=axis, tiled=True)


def make_penalized(
    model: Model, penalty: Penalty, *, num_samples: int = 1
) -> Objective:
    """Minimises distortion + penalty, the mean over samples and examples."""

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        inference = infer(model, params, hparams, batch, key, num_samples=num_samples)
        terms = elbo_terms(inference, batch.image)
        added, metrics = penalty(inference, terms, Moment(hparams, step, key))
        return conclude(terms.distortion.mean() + added, inference, terms, metrics)

    return Objective(no_parameters, loss)


def beta_vae(growth: Growth) -> Penalty:
    """beta * rate: beta multiplies the KL in nats; 1 without growth is the VAE.

    References:
      Higgins et al. 2017, beta-VAE, eq. 4.
    """

    def penalty(inference, terms, moment):
        del inference
        return _grown_beta(growth, moment) * terms.rate.mean(), {}

    return penalty


def capacity(growth: Growth, axis_name: str | None) -> Penalty:
    """gamma * |rate - C|, with the capacity C in nats growing to `hparams["capacity"]`.

    References:
      Burgess et al. 2018, arXiv 1804.03599, eq. 8.
    """

    def penalty(inference, terms, moment):
        del inference
        hparams = moment.hparams
        target = hparams["capacity"] * growth(moment.step, hparams["growth_steps"])
        rate = whole_batch(terms.rate, 1, axis_name).mean()
        return hparams["gamma"] * jnp.abs(rate - target), {"capacity_nats": target}

    return penalty


def free_bits_per_group(growth: Growth, axis_name: str | None) -> Penalty:
    """beta * sum over groups of max(rate of the group, `hparams["free_nats"]`).

    The rate is the mean over the minibatch: a group that holds the free nats on average
    may spend them on some examples and not on others.

    References:
      Kingma et al. 2016, arXiv 1606.04934, eq. 15.
    """

    def penalty(inference, terms, moment):
        del inference
        rates = whole_batch(terms.rate_per_group, 2, axis_name).mean((1, 2))
        floored = jnp.maximum(rates, moment.hparams["free_nats"]).sum()
        return _grown_beta(growth, moment) * floored, {}

    return penalty


def free_bits_per_dimension(growth: Growth, axis_name: str | None) -> Penalty:
    """As `free_bits_per_group`, for every latent dimension by itself.

    Raises:
      UserError: the rate is no sum over dimensions.
    """

    def penalty(inference, terms, moment):
        del terms
        floored = jnp.zeros(())
        for group in inference.groups:
            rate = kl_per_dimension(group)
            if rate is None:
                raise UserError(
                    "objective.name=free_bits needs a KL per dimension: choose "
                    "model.posterior.name=diagonal_gaussian with a standard_normal "
                    "or conditional_gaussian prior, or objective.name="
                    "free_bits_per_group"
                )
            rate = whole_batch(rate, 0, axis_name).mean(0)
            counted = dimensions_in_use(group.posterior)
            floored += (jnp.maximum(rate, moment.hparams["free_nats"]) * counted).sum()
        return _grown_beta(growth, moment) * floored, {}

    return penalty


def _grown_beta(growth: Growth, moment: Moment) -> jax.Array:
    hparams = moment.hparams
    return hparams["beta"] * growth(moment.step, hparams["growth_steps"])

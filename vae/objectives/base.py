"""What all objectives share: a run of the model, the bound's terms, and the loss.

References:
  Kingma & Welling 2013, arXiv 1312.6114, eq. 3 (the evidence lower bound).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpyro.distributions import Independent, kl_divergence

from vae import rng
from vae.distributions.categorical import OneHotCodes
from vae.distributions.gaussians import is_diagonal_gaussian
from vae.distributions.padded import PaddedNormal
from vae.fields import Count, traced_of
from vae.models.base import Model
from vae.models.padding import variables_of
from vae.nn.layers import EMA
from vae.types import (
    Batch,
    Distribution,
    ElboTerms,
    Inference,
    LatentGroup,
    Metrics,
    Objective,
    Params,
    Unsupported,
)

Hparams = dict[str, jax.Array]


class Moment(NamedTuple):
    """Where training stands."""

    step: jax.Array
    key: jax.Array  # of this step, the same for the whole batch


# (inference, its terms, moment, *, fields)
# -> what is added to the distortion, metrics of its own
Penalty = Callable[..., tuple[jax.Array, Metrics]]


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
    """KL(q(z | x) || p(z)): [B], or [K, B] given samples of the groups above, in closed
    form; or estimated by each sample [K, B]."""
    try:
        return jnp.asarray(kl_divergence(group.posterior, group.prior))
    except NotImplementedError:
        return _log_ratio(group)


def _log_ratio(group: LatentGroup) -> jax.Array:
    """log q(z | x) - log p(z), [K, B]."""
    return group.log_q - group.prior.log_prob(group.z)


def kl_per_dimension(group: LatentGroup) -> jax.Array | None:
    """Returns KL [B, D], or [K, B, D] given K samples of the groups above, in nats;
    None where it is no sum over dimensions."""
    posterior, prior = group.posterior, group.prior
    if not (is_diagonal_gaussian(posterior) and is_diagonal_gaussian(prior)):
        return None
    return jnp.asarray(kl_divergence(posterior.base_dist, prior.base_dist))


def posterior_of_example(group: LatentGroup) -> Distribution:
    """Returns q(z | x), batch shape [B].

    Raises:
      Unsupported: it is not given by the example alone, but by other groups too.
    """
    if len(group.posterior.batch_shape) != 1:
        raise Unsupported("needs q(z | x) that does not depend on other groups")
    return group.posterior


def moments_of_example(group: LatentGroup, *names: str) -> list[jax.Array] | None:
    """Returns the moments of q(z | x) that are named, "mean" or "variance" [B, D], in
    closed form; None where one has none, or where q depends on other groups."""
    if len(group.posterior.batch_shape) != 1:
        return None
    try:
        return [getattr(group.posterior, name) for name in names]
    except NotImplementedError:
        return None


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
    axis_name: str | None = None,
) -> tuple[Inference, ElboTerms]:
    """Runs the model on a training batch: the one place where objectives do.

    With the axis of a `pmap`, terms, codes and diagonal Gaussians are those of the
    whole batch. A loss of them is the same on every device, and the mean over devices
    of its gradients is right. Other distributions keep the device's own examples.
    """
    made: Any = model.apply(
        variables_of(params["model"], hparams),
        batch.x,
        rng.per_example(key, batch.position),
        label=batch.label,
        num_samples=num_samples,
        train=True,
        mutable=[EMA],
    )
    inference, moved = made
    ema_loss = sum(jax.tree.leaves(moved), inference.aux["ema_loss"])
    inference = inference._replace(aux={**inference.aux, "ema_loss": ema_loss})
    terms = elbo_terms(inference, batch.x)
    if axis_name is None:
        return inference, terms

    def gather(array: jax.Array, axis: int) -> jax.Array:
        return jax.lax.all_gather(array, axis_name, axis=axis, tiled=True)

    def gather_gaussian(distribution: Distribution, used: jax.Array) -> Distribution:
        if not (distribution.batch_shape and is_diagonal_gaussian(distribution)):
            return distribution
        normal = distribution.base_dist
        examples = normal.loc.ndim - 2
        loc, scale = gather(normal.loc, examples), gather(normal.scale, examples)
        return Independent(PaddedNormal(loc, scale, used), 1)

    groups = tuple(
        LatentGroup(
            z=gather(group.z, 1),
            log_q=gather(group.log_q, 1),
            posterior=gather_gaussian(group.posterior, group.used),
            prior=gather_gaussian(group.prior, group.used),
            used=group.used,
        )
        for group in inference.groups
    )
    terms = jax.tree.map(lambda array: gather(array, array.ndim - 1), terms)
    return inference._replace(groups=groups), terms


def no_parameters(key: jax.Array, batch: Batch) -> Params:
    """The `init` of an objective without parameters of its own."""
    del key, batch
    return {}


def conclude(
    value: jax.Array, inference: Inference, terms: ElboTerms, metrics: Metrics
) -> tuple[jax.Array, Metrics]:
    """Returns the loss and the metrics, as `Objective.loss` does: those that every
    objective reports, means over the batch, and its own `metrics`.

    Here the moving averages of the model join the loss: see `layers.ema`.
    """
    distortion, rate = terms.distortion.mean(), terms.rate.mean()
    return value + inference.aux["ema_loss"], {
        "loss": value,
        "elbo_nats": -(distortion + rate),
        "distortion_nats": distortion,
        "rate_nats": rate,
        **metrics,
    }


def make_penalized(
    model: Model,
    penalty: Penalty,
    *,
    num_samples: Count = 1,
    axis_name: str | None = None,
) -> Objective:
    """Minimises distortion + penalty, the mean over samples and examples."""

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        inference, terms = infer(
            model,
            params,
            hparams,
            batch,
            key,
            num_samples=num_samples,
            axis_name=axis_name,
        )
        numbers = traced_of(penalty, hparams)
        added, metrics = penalty(inference, terms, Moment(step, key), **numbers)
        return conclude(terms.distortion.mean() + added, inference, terms, metrics)

    return Objective(no_parameters, loss)

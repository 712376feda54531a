"""Objectives that penalise the total correlation of the aggregate posterior q(z).

TC(z) = KL(q(z) || prod_d q(z_d)), in nats.

References:
  Chen et al. 2018, arXiv 1802.04942 (beta-TCVAE).
  Kim & Mnih 2018, arXiv 1802.05983 (FactorVAE).
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vae import rng
from vae.distributions.gaussians import is_diagonal_gaussian
from vae.distributions.padded import PaddedNormal
from vae.fields import Count, Field, Sizes, Weight, traced_of
from vae.models.base import Model
from vae.nn.layers import MLP, dense
from vae.objectives.base import (
    Hparams,
    Moment,
    conclude,
    has_relaxed_codes,
    infer,
    posterior_of_example,
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


def minibatch_weighted(log_densities: jax.Array, dataset_size: int) -> jax.Array:
    """log 1/(NM) sum_j q(z_i | x_j), over a minibatch of M from N examples.

    A lower bound in the mean; with the whole data set as minibatch it is low by log N.

    References:
      Chen et al. 2018, arXiv 1802.04942, eq. 5 and appendix C.1.
    """
    size = len(log_densities)
    total = jax.nn.logsumexp(log_densities, axis=1)
    return total - np.log(dataset_size) - np.log(size)


def minibatch_stratified(log_densities: jax.Array, dataset_size: int) -> jax.Array:
    """As `minibatch_weighted`, but with an unbiased density: each z_i's own example
    has weight 1/N, and the others of the minibatch share the rest.

    References:
      Chen et al. 2018, arXiv 1802.04942, appendix C.2, eq. S3 to S5 (which share it
      unequally, to the same mean).
    """
    size = len(log_densities)
    others = (dataset_size - 1) / (dataset_size * (size - 1))
    weights = np.full((size, size), others)
    np.fill_diagonal(weights, 1 / dataset_size)
    shape = (size, size, *[1] * (log_densities.ndim - 2))
    log_weights = jnp.asarray(np.log(weights), log_densities.dtype).reshape(shape)
    return jax.nn.logsumexp(log_densities + log_weights, axis=1)


ESTIMATORS = {"weighted": minibatch_weighted, "stratified": minibatch_stratified}
# (log q(z_i | x_j) [B, B, ...], dataset size) -> log q(z_i) [B, ...]
Estimator = Annotated[Callable[[jax.Array, int], jax.Array], Field(menu=ESTIMATORS)]


def beta_tcvae(
    inference: Inference,
    terms: ElboTerms,
    moment: Moment,
    *,
    dataset_size: int,
    beta: Weight = 1.0,
    estimator: Estimator = minibatch_weighted,
) -> tuple[jax.Array, Metrics]:
    """rate + (beta - 1) * TC(z), with TC estimated from the minibatch.

    The weighted estimate of TC is high by up to (D - 1) log N, which moves the loss but
    hardly its gradient; the stratified one is not.

    References:
      Chen et al. 2018, arXiv 1802.04942, eq. 4 with alpha = gamma = 1.

    Raises:
      Unsupported: the posterior is not a diagonal Gaussian.
    """
    del moment
    correlation = jnp.zeros(())
    for group in inference.groups:
        posterior = posterior_of_example(group)
        if not is_diagonal_gaussian(posterior):
            raise Unsupported("needs the posterior's density of every dimension")
        normal = PaddedNormal(posterior.mean, posterior.base_dist.scale, group.used)
        correlation += jax.vmap(
            lambda z, normal=normal: total_correlation(
                normal, z, estimator, dataset_size
            )
        )(group.z).mean()
    value = terms.rate.mean() + (beta - 1) * correlation
    return value, {"total_correlation_estimate_nats": correlation}


def total_correlation(
    normal: PaddedNormal, z: jax.Array, estimator: Estimator, dataset_size: int
) -> jax.Array:
    """Estimates TC, a scalar, from codes z [B, D] of `normal` posteriors [B, D]."""
    log_densities = normal.log_prob(z[:, None])  # of z_i given x_j, [B, B, D]
    joint = estimator(log_densities.sum(-1), dataset_size)
    marginals = estimator(log_densities, dataset_size) * normal.used
    return (joint - marginals.sum(-1)).mean()


class Discriminator(nn.Module):
    """The logit of "drawn from q(z)" against "drawn from prod_d q(z_d)".

    At its optimum the logit is log q(z) - sum_d log q(z_d), whose mean is TC.
    """

    widths: Sequence[int]

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Maps codes [..., D] to logits [...]."""

        def activation(x: jax.Array) -> jax.Array:
            return nn.leaky_relu(x, 0.2)

        hidden = MLP(self.widths, activation, z.dtype, name="mlp")(z)
        return dense(1, "logit", z.dtype)(hidden)[..., 0]


def discriminator_loss(logits: jax.Array, permuted_logits: jax.Array) -> jax.Array:
    """Cross-entropy of telling codes from permuted codes, halved as in the paper."""
    return (nn.softplus(-logits).mean() + nn.softplus(permuted_logits).mean()) / 2


def permute_dimensions(key: jax.Array, z: jax.Array) -> jax.Array:
    """Shuffles codes [B, D] over the batch, each dimension by itself."""
    return jax.random.permutation(key, z, independent=True)


def factor_vae(
    terms: ElboTerms, correlation: jax.Array, *, tc_weight: Weight = 10.0
) -> jax.Array:
    """distortion + rate + tc_weight * TC.

    References:
      Kim & Mnih 2018, arXiv 1802.05983, eq. 2; `tc_weight` is their gamma.
    """
    return (terms.distortion + terms.rate).mean() + tc_weight * correlation


def make_factor_vae(
    model: Model,
    criterion: Callable[..., jax.Array],
    *,
    code_dim: int,
    discriminator_widths: Sizes = (1000,) * 6,
    num_samples: Count = 1,
    axis_name: str | None = None,
) -> Objective:
    """Minimises a criterion of the bound's terms and of TC, as a discriminator
    estimates it.

    Both players learn in the same step, from the same codes: gradients are stopped so
    that each sees its own loss only. (The paper draws a second batch to permute.)

    References:
      Kim & Mnih 2018, arXiv 1802.05983, eq. 3 and algorithm 2.

    Raises:
      Unsupported: the posterior's codes are relaxed.
    """
    discriminator = Discriminator(tuple(discriminator_widths))

    def init(key: jax.Array, batch: Batch) -> Params:
        del batch
        variables = discriminator.init(key, jnp.zeros((1, code_dim)))
        return {"discriminator": variables["params"]}

    def logits_of(params: Params, z: jax.Array) -> jax.Array:
        logits = discriminator.apply({"params": params["discriminator"]}, z)
        return jnp.asarray(logits)

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        del step
        inference, terms = infer(
            model,
            params,
            hparams,
            batch,
            key,
            num_samples=num_samples,
            axis_name=axis_name,
        )
        if has_relaxed_codes(inference):
            raise Unsupported("needs continuous codes")
        for group in inference.groups:  # otherwise TC holds what p(z) models
            posterior_of_example(group)
        codes = inference.codes
        own, frozen = params["objective"], jax.lax.stop_gradient(params["objective"])
        correlation = logits_of(frozen, codes).mean()
        value = criterion(terms, correlation, **traced_of(criterion, hparams))
        z = jax.lax.stop_gradient(codes[0])
        permuted = permute_dimensions(rng.named(key, "permutation"), z)
        adversary = discriminator_loss(logits_of(own, z), logits_of(own, permuted))
        metrics = {
            "total_correlation_estimate_nats": correlation,
            "discriminator_loss": adversary,
        }
        total, metrics = conclude(value, inference, terms, metrics)
        return total + adversary, metrics

    return Objective(init, loss)

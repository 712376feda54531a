"""Objectives that compare aggregate posterior and prior by maximum mean discrepancy.

References:
  Gretton et al. 2012, A Kernel Two-Sample Test, eq. 3.
  Zhao et al. 2019, arXiv 1706.02262 (InfoVAE).
  Tolstikhin et al. 2018, arXiv 1711.01558 (WAE-MMD).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vae import rng
from vae.distributions.padded import dimensions_in_use
from vae.objectives.elbo import Moment, Penalty, has_relaxed_codes, whole_batch
from vae.types import Array, Inference, UserError

Kernel = Callable[
    [jax.Array, Array | int], jax.Array
]  # (squared distance, D) -> [0, ...]


def rbf(squared_distance: jax.Array, dim: Array | int) -> jax.Array:
    """exp(-d^2 / D): a Gaussian about as wide as codes of the prior lie apart."""
    return jnp.exp(-squared_distance / dim)


def inverse_multiquadratic(squared_distance: jax.Array, dim: Array | int) -> jax.Array:
    """sum over s of C / (C + d^2) with C = 2 D s: the kernel of WAE's code."""
    scales = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    widths = [2 * dim * scale for scale in scales]
    return jnp.stack([c / (c + squared_distance) for c in widths]).sum(0)


def maximum_mean_discrepancy(
    x: jax.Array, y: jax.Array, kernel: Kernel, dim: Array | int
) -> jax.Array:
    """Returns the unbiased estimate of MMD^2 from samples [N, D] and [N, D], of which
    `dim` dimensions count for the kernel's width."""
    count = len(x)

    def within(a: jax.Array) -> jax.Array:
        values = kernel(_squared_distances(a, a), dim)
        return (values.sum() - jnp.trace(values)) / (count * (count - 1))

    across = kernel(_squared_distances(x, y), dim).mean()
    return within(x) + within(y) - 2 * across


def _squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """[N, D] and [M, D] to [N, M]."""
    return ((x[:, None] - y) ** 2).sum(-1)


def info_vae(kernel: Kernel, axis_name: str | None) -> Penalty:
    """(1 - alpha) * rate + (alpha + mmd_weight - 1) * MMD^2(q(z), p(z)).

    References:
      Zhao et al. 2019, arXiv 1706.02262, eq. 6; `mmd_weight` is their lambda.
    """

    def penalty(inference, terms, moment):
        discrepancy = _discrepancy(inference, kernel, moment, axis_name)
        alpha = moment.hparams["alpha"]
        weight = alpha + moment.hparams["mmd_weight"] - 1
        value = (1 - alpha) * terms.rate.mean() + weight * discrepancy
        return value, {"mmd_squared": discrepancy}

    return penalty


def wae_mmd(kernel: Kernel, axis_name: str | None) -> Penalty:
    """mmd_weight * MMD^2(q(z), p(z)), without a rate: the reconstruction cost is the
    distortion.

    References:
      Tolstikhin et al. 2018, arXiv 1711.01558, algorithm 2, with a random encoder.
    """

    def penalty(inference, terms, moment):
        del terms
        discrepancy = _discrepancy(inference, kernel, moment, axis_name)
        value = moment.hparams["mmd_weight"] * discrepancy
        return value, {"mmd_squared": discrepancy}

    return penalty


def _discrepancy(
    inference: Inference, kernel: Kernel, moment: Moment, axis_name: str | None
) -> jax.Array:
    """MMD^2 of one code of every example from as many of the prior, summed over
    groups.

    Raises:
      UserError: codes are relaxed, or the prior depends on the example.
    """
    total = jnp.zeros(())
    for i, group in enumerate(inference.groups):
        if has_relaxed_codes(inference) or group.prior.batch_shape:
            raise UserError(
                "info_vae and wae_mmd compare continuous codes with samples of one "
                "prior: choose a continuous model.posterior.name and a prior that does "
                "not depend on the label"
            )
        z = whole_batch(group.z, 1, axis_name)[0]
        key = jax.random.fold_in(rng.named(moment.key, "prior_sample"), i)
        drawn = group.prior.sample(key, (len(z),))
        dim = dimensions_in_use(group.posterior).sum()
        total += maximum_mean_discrepancy(z, drawn, kernel, dim)
    return total

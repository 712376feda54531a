"""Penalties that compare aggregate posterior and prior by maximum mean discrepancy.

References:
  Gretton et al. 2012, A Kernel Two-Sample Test, eq. 3.
  Zhao et al. 2019, arXiv 1706.02262 (InfoVAE).
  Tolstikhin et al. 2018, arXiv 1711.01558 (WAE-MMD).
"""

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp

from vae import rng
from vae.fields import Field, Number, Weight
from vae.objectives.base import Moment, has_relaxed_codes
from vae.types import Array, ElboTerms, Inference, Metrics, Unsupported


def rbf(squared_distance: jax.Array, dim: Array | int) -> jax.Array:
    """exp(-d^2 / D): a Gaussian about as wide as codes of the prior lie apart."""
    return jnp.exp(-squared_distance / dim)


def inverse_multiquadratic(squared_distance: jax.Array, dim: Array | int) -> jax.Array:
    """sum over s of C / (C + d^2) with C = 2 D s: the kernel of WAE's code."""
    scales = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    widths = [2 * dim * scale for scale in scales]
    return jnp.stack([c / (c + squared_distance) for c in widths]).sum(0)


KERNELS = {"rbf": rbf, "imq": inverse_multiquadratic}
# (squared distance, D) -> [0, ...]
Kernel = Annotated[Callable[[jax.Array, Array | int], jax.Array], Field(menu=KERNELS)]


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


def info_vae_mismatch(alpha: float, mmd_weight: float) -> str | None:
    """Says if the rate or the discrepancy would be rewarded by these weights."""
    if 1 - mmd_weight <= alpha <= 1:
        return None
    return (
        f"needs alpha={alpha} to be at most 1, and at least 1 together with "
        f"mmd_weight={mmd_weight}, or the rate or the discrepancy is rewarded"
    )


def info_vae(
    inference: Inference,
    terms: ElboTerms,
    moment: Moment,
    *,
    alpha: Number = 0.0,
    mmd_weight: Weight = 100.0,
    kernel: Kernel = inverse_multiquadratic,
) -> tuple[jax.Array, Metrics]:
    """(1 - alpha) * rate + (alpha + mmd_weight - 1) * MMD^2(q(z), p(z)).

    References:
      Zhao et al. 2019, arXiv 1706.02262, eq. 6; `mmd_weight` is their lambda.
    """
    discrepancy = _discrepancy(inference, moment, kernel)
    weight = alpha + mmd_weight - 1
    value = (1 - alpha) * terms.rate.mean() + weight * discrepancy
    return value, {"mmd_squared": discrepancy}


def wae_mmd(
    inference: Inference,
    terms: ElboTerms,
    moment: Moment,
    *,
    mmd_weight: Weight = 100.0,
    kernel: Kernel = inverse_multiquadratic,
) -> tuple[jax.Array, Metrics]:
    """mmd_weight * MMD^2(q(z), p(z)), without a rate: the reconstruction cost is the
    distortion.

    References:
      Tolstikhin et al. 2018, arXiv 1711.01558, algorithm 2, with a random encoder.
    """
    del terms
    discrepancy = _discrepancy(inference, moment, kernel)
    return mmd_weight * discrepancy, {"mmd_squared": discrepancy}


def _discrepancy(inference: Inference, moment: Moment, kernel: Kernel) -> jax.Array:
    """MMD^2 of one code of every example from as many of the prior, summed over
    groups.

    Raises:
      Unsupported: codes are relaxed, or the prior depends on the example.
    """
    if has_relaxed_codes(inference):
        raise Unsupported("needs continuous codes")
    total = jnp.zeros(())
    for i, group in enumerate(inference.groups):
        if group.prior.batch_shape:
            raise Unsupported("needs a prior that is the same for every example")
        z = group.z[0]
        key = jax.random.fold_in(rng.named(moment.key, "prior_sample"), i)
        drawn = group.prior.sample(key, (len(z),))
        dim = group.used.sum()
        total += maximum_mean_discrepancy(z, drawn, kernel, dim)
    return total

"""Bounds on log p(x), per image and in nats."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vae import rng
from vae.models.base import Model
from vae.objectives.base import elbo_terms, kl_per_dimension
from vae.types import Array, Inference, LatentGroup, Params

ROWS_PER_CHUNK = 2000  # decoder rows evaluated at once: enough to fill the cores


class ImageBounds(NamedTuple):
    """What importance sampling says of each image."""

    distortion: Array  # [B], mean over samples
    rate: Array  # [B]
    log_likelihood: Array  # [B], the importance-weighted bound L_K
    effective_sample_size: Array  # [B], in 1..K
    reconstruction_log_prob: Array  # [B], log E_q p(x | z): An & Cho 2015, algorithm 4
    posterior_mean: Array  # [B, D], of all groups; the samples' where unknown
    mean_error: Array | None  # [B, D], its variance; None if one sample tells nothing
    kl_per_dimension: Array | None  # [B, D]; None where the rate is no sum over D


def make_importance_bound(
    model: Model, num_samples: int
) -> Callable[[Params, jax.Array, jax.Array | None, jax.Array], ImageBounds]:
    """Returns (variables, x [B, H, W, C], labels [B], keys [B]) ->
    `ImageBounds`, pure.

    L_K = E[log 1/K sum_k p(x, z_k) / q(z_k | x)], by K = `num_samples` samples in
    pieces that fit in memory; the encoder runs once. Sample k does not depend on K or
    on the pieces.

    References:
      Burda et al. 2015, arXiv 1509.00519, eq. 8.
    """

    def bound(
        variables: Params, x: jax.Array, labels: jax.Array | None, keys: jax.Array
    ) -> ImageBounds:
        encoded = model.apply(variables, x, label=labels, method="encode")
        chunk = min(num_samples, max(1, ROWS_PER_CHUNK // len(x)))
        num_chunks = -(-num_samples // chunk)

        def infer(sample_ids: jax.Array) -> Inference:
            chunk_keys = rng.per_sample(keys, sample_ids)
            return model.apply(variables, encoded, chunk_keys, method="infer")

        def add_chunk(sums, first):
            sample_ids = first * chunk + jnp.arange(chunk)
            inference = infer(sample_ids)
            terms = elbo_terms(inference, x)
            counts = (sample_ids < num_samples)[:, None]  # [chunk, 1]
            log_weights = jnp.where(counts, terms.log_weights, -jnp.inf)
            codes = jnp.concatenate([group.z for group in inference.groups], -1)
            log_likelihoods = jnp.where(counts, -terms.distortion, -jnp.inf)
            log_sum, log_squares, log_mean, distortion, rate, code, square = sums
            return (
                _add(log_sum, log_weights),
                _add(log_squares, 2 * log_weights),
                _add(log_mean, log_likelihoods),
                distortion + jnp.where(counts, terms.distortion, 0).sum(0),
                rate + jnp.where(counts, terms.rate, 0).sum(0),
                code + jnp.where(counts[..., None], codes, 0).sum(0),
                square + jnp.where(counts[..., None], codes**2, 0).sum(0),
            ), None

        groups = infer(jnp.arange(1)).groups  # the compiler drops the decoding
        code_dim = sum(group.z.shape[-1] for group in groups)
        zeros = jnp.zeros(len(x), groups[0].log_q.dtype)
        codes = jnp.zeros((len(x), code_dim), groups[0].z.dtype)
        start = (*[zeros - jnp.inf] * 3, zeros, zeros, codes, codes)
        sums, _ = jax.lax.scan(add_chunk, start, jnp.arange(num_chunks))
        log_sum, log_squares, log_mean, distortion, rate, code, square = sums
        mean, error = _posterior_mean(groups, code, square, num_samples)
        return ImageBounds(
            distortion=distortion / num_samples,
            rate=rate / num_samples,
            log_likelihood=log_sum - jnp.log(num_samples),
            effective_sample_size=jnp.exp(2 * log_sum - log_squares),
            reconstruction_log_prob=log_mean - jnp.log(num_samples),
            posterior_mean=mean,
            mean_error=error,
            kl_per_dimension=_kl_per_dimension(groups),
        )

    return bound


def _add(log_sum: jax.Array, logs: jax.Array) -> jax.Array:
    """Adds numbers, of which logs [K, B] are given, to a sum."""
    return jnp.logaddexp(log_sum, jax.nn.logsumexp(logs, axis=0))


def _posterior_mean(
    groups: tuple[LatentGroup, ...], total: jax.Array, squares: jax.Array, count: int
) -> tuple[jax.Array, jax.Array | None]:
    """The mean code [B, D] in closed form, or of `count` samples with these sums, and
    the variance of its error."""
    try:
        mean = jnp.concatenate([group.posterior.mean for group in groups], -1)
        return mean, jnp.zeros_like(mean)
    except NotImplementedError:
        mean = total / count
        if count == 1:
            return mean, None
        return mean, (squares / count - mean**2) / (count - 1)


def _kl_per_dimension(groups: tuple[LatentGroup, ...]) -> jax.Array | None:
    known = [kl for group in groups if (kl := kl_per_dimension(group)) is not None]
    return jnp.concatenate(known, -1) if len(known) == len(groups) else None

"""Bounds on log p(x), per image and in nats."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vae import rng
from vae.models.base import Model
from vae.objectives.elbo import elbo_terms, kl_per_dimension
from vae.types import Array, Params

ROWS_PER_CHUNK = 2000  # decoder rows evaluated at once: enough to fill the cores


class ImageBounds(NamedTuple):
    """What importance sampling says of each image."""

    distortion: Array  # [B], mean over samples
    rate: Array  # [B]
    log_likelihood: Array  # [B], the importance-weighted bound L_K
    effective_sample_size: Array  # [B], in 1..K
    posterior_mean: Array  # [B, D]
    kl_per_dimension: Array  # [B, D]


def make_importance_bound(
    model: Model, num_samples: int
) -> Callable[[Params, jax.Array, jax.Array], ImageBounds]:
    """Returns (model parameters, x [B, H, W, C], keys [B]) -> `ImageBounds`, pure.

    L_K = E[log 1/K sum_k p(x, z_k) / q(z_k | x)], by K = `num_samples` samples in
    pieces that fit in memory; the encoder runs once. Sample k does not depend on K or
    on the pieces.

    References:
      Burda et al. 2015, arXiv 1509.00519, eq. 8.
    """

    def bound(params: Params, x: jax.Array, keys: jax.Array) -> ImageBounds:
        variables = {"params": params}
        posterior = model.apply(variables, x, method="encode")
        chunk = min(num_samples, max(1, ROWS_PER_CHUNK // len(x)))
        num_chunks = -(-num_samples // chunk)

        def add_chunk(sums, first):
            sample_ids = first * chunk + jnp.arange(chunk)
            chunk_keys = rng.per_sample(keys, sample_ids)
            inference = model.apply(variables, posterior, chunk_keys, method="infer")
            terms = elbo_terms(inference, x)
            counts = (sample_ids < num_samples)[:, None]  # [chunk, 1]
            log_weights = jnp.where(counts, terms.log_weights, -jnp.inf)
            log_sum, log_sum_squares, distortion, rate = sums
            return (
                jnp.logaddexp(log_sum, jax.nn.logsumexp(log_weights, axis=0)),
                jnp.logaddexp(
                    log_sum_squares, jax.nn.logsumexp(2 * log_weights, axis=0)
                ),
                distortion + jnp.where(counts, terms.distortion, 0).sum(0),
                rate + jnp.where(counts, terms.rate, 0).sum(0),
            ), None

        zeros = jnp.zeros(len(x), posterior.mean.dtype)
        start = (zeros - jnp.inf, zeros - jnp.inf, zeros, zeros)
        sums, _ = jax.lax.scan(add_chunk, start, jnp.arange(num_chunks))
        log_sum, log_sum_squares, distortion, rate = sums
        prior = model.apply(variables, method=lambda model: model.prior())
        return ImageBounds(
            distortion=distortion / num_samples,
            rate=rate / num_samples,
            log_likelihood=log_sum - jnp.log(num_samples),
            effective_sample_size=jnp.exp(2 * log_sum - log_sum_squares),
            posterior_mean=posterior.mean,
            kl_per_dimension=kl_per_dimension(posterior, prior),
        )

    return bound

"""LLR>k: how much less likely an image is once its lowest k groups are drawn anew."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from vae import rng
from vae.evaluation.bounds import ROWS_PER_CHUNK
from vae.models.base import Model
from vae.types import Params


def make_bounds_above(
    model: Model, num_samples: int, ks: Sequence[int], *, rows: int = ROWS_PER_CHUNK
) -> Callable[[Params, jax.Array, jax.Array | None, jax.Array], jax.Array]:
    """Returns (variables, x [B, H, W, C], labels [B], keys [B]) -> L^{>k} [B, len(ks)]
    in nats, pure.

    L^{>k} = E[log 1/K sum_s p(x | z_s) p(z_s,>k) / q(z_s,>k | x)] is a bound on
    log p(x), by K = `num_samples` samples in pieces of at most `rows` decoder rows.
    The groups above the k-th are those of `make_importance_bound` with the same keys;
    the lowest k are drawn from the prior given these. L^{>0} is the usual bound L, and
    LLR^{>k} = L - L^{>k}.

    Where groups are inferred from those below, q(z_>k | x) is q(z_>k | z_k) of a
    sample z_k from q(z_k | x), which is then dropped.

    Args:
      model: with L groups.
      num_samples: K. The paper weights samples in L alone; here both bounds have K.
      ks: how many of the lowest groups are redrawn, each from 0 to L - 1.
      rows: of the decoder, at once.

    References:
      Havtorn et al. 2021, arXiv 2102.08248, sec. 4 (L^{>k} and LLR^{>k}).
    """
    sizes = model.group_sizes
    ends = jnp.array([sum(sizes[:k]) for k in ks])  # of the codes that are redrawn
    places = np.array(ks)

    def bounds_above(
        variables: Params, x: jax.Array, labels: jax.Array | None, keys: jax.Array
    ) -> jax.Array:
        encoded = model.apply(variables, x, label=labels, method="encode")
        prior = model.apply(variables, labels, method="prior_of")
        redrawing = rng.each_named(keys, "redrawn")
        chunk = min(num_samples, max(1, rows // len(x)))

        def log_weights(sample_ids: jax.Array) -> jax.Array:
            """[len(ks), chunk, B]"""
            own = rng.per_sample(keys, sample_ids)
            inference = model.apply(variables, encoded, own, method="infer")
            ratios = [g.prior.log_prob(g.z) - g.log_q for g in inference.groups]
            above = jnp.cumsum(jnp.stack(ratios[::-1]), 0)[::-1]  # [L, chunk, B]
            inferred = prior.to_noise(inference.codes)
            drawn = rng.per_sample(redrawing, sample_ids)
            drawn = rng.normal(drawn, inferred.shape[-1], inferred.dtype)

            def of_k(end: jax.Array, ratio: jax.Array) -> jax.Array:
                is_redrawn = jnp.arange(inferred.shape[-1]) < end
                z = prior.from_noise(jnp.where(is_redrawn, drawn, inferred))
                decoded = model.apply(variables, z, label=labels, method="decode")
                return decoded.log_prob(x) + ratio

            return jax.lax.map(lambda pair: of_k(*pair), (ends, above[places]))

        def add_chunk(log_sums: jax.Array, first: jax.Array):
            sample_ids = first * chunk + jnp.arange(chunk)
            counts = (sample_ids < num_samples)[:, None]  # [chunk, 1]
            logs = jnp.where(counts, log_weights(sample_ids), -jnp.inf)
            return jnp.logaddexp(log_sums, jax.nn.logsumexp(logs, axis=1)), None

        shape = jax.eval_shape(log_weights, jnp.arange(1))
        start = jnp.full((len(ks), len(x)), -jnp.inf, shape.dtype)
        num_chunks = -(-num_samples // chunk)
        log_sums, _ = jax.lax.scan(add_chunk, start, jnp.arange(num_chunks))
        return log_sums.T - jnp.log(num_samples)

    return bounds_above

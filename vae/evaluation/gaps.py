"""Where the ELBO loses: to the family of q(z | x), or to the encoder that serves all
images at once.

References:
  Cremer et al. 2018, arXiv 1801.03558, table 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from numpyro.distributions import Independent, Normal

from vae import rng
from vae.distributions.gaussians import is_diagonal_gaussian
from vae.distributions.reparameterization import frozen_log_prob
from vae.evaluation.bounds import ROWS_PER_CHUNK
from vae.models.base import Model
from vae.models.vae import Encoded
from vae.objectives.base import elbo_terms
from vae.types import Array, Distribution, Inference, Params, Unsupported


class InferenceGaps(NamedTuple):
    """What each image loses, in nats; q* is the best diagonal Gaussian for it alone.
    Both have the same noise, of which the amortisation gap then has less."""

    elbo: Array  # [B], L[q] of the encoder's posterior
    optimised_elbo: Array  # [B], L[q*]
    amortisation_gap: Array  # [B], L[q*] - L[q]
    approximation_gap: Array  # [B], log p(x) - L[q*]


class Gaussian(NamedTuple):
    """The parameters of q*."""

    mean: jax.Array  # [B, D]
    log_variance: jax.Array  # [B, D]

    def distribution(self) -> Distribution:
        """Returns q(z | x), batch shape [B], event shape [D]."""
        return Independent(Normal(self.mean, jnp.exp(self.log_variance / 2)), 1)


def make_inference_gaps(
    model: Model,
    *,
    num_steps: int,
    num_samples: int,
    learning_rate: float,
    evaluation_samples: int,
) -> Callable[..., InferenceGaps]:
    """Returns (variables, x [B, H, W, C], labels [B], keys [B], log_likelihood [B]) ->
    `InferenceGaps`, pure.

    q* starts from the encoder's posterior and takes `num_steps` steps of Adam, whose
    learning rate falls to zero as a cosine, each on `num_samples` samples. L[q] and
    L[q*] are means over `evaluation_samples` fresh samples. What the optimiser misses
    counts as approximation. `log_likelihood` is the best estimate of log p(x) from
    below; what it lacks is missing from the approximation gap. The model has one latent
    group, not padded.

    Raises:
      Unsupported: (what is returned does) the posterior is no diagonal Gaussian.
    """

    def gaps(
        variables: Params,
        x: jax.Array,
        labels: jax.Array | None,
        keys: jax.Array,
        log_likelihood: jax.Array,
    ) -> InferenceGaps:
        encoded = model.apply(variables, x, label=labels, method="encode")
        if len(model.group_sizes) > 1 or not (
            isinstance(encoded, Encoded) and is_diagonal_gaussian(encoded.posterior)
        ):
            raise Unsupported("needs a posterior that is a diagonal Gaussian")

        def log_weights(q: Gaussian, sample_ids: jax.Array) -> jax.Array:
            q_of_images = encoded._replace(posterior=q.distribution())
            sample_keys = rng.per_sample(keys, sample_ids)
            return _log_weights(
                model.apply(variables, q_of_images, sample_keys, method="infer"), x
            )

        def elbo(q: Gaussian) -> jax.Array:
            each = jax.lax.map(
                lambda sample_id: log_weights(q, sample_id[None])[0],
                jnp.arange(evaluation_samples),
                batch_size=max(1, ROWS_PER_CHUNK // len(x)),
            )
            return each.mean(0)

        def noise_of_step(step: jax.Array) -> jax.Array:
            # After those of the evaluation, which then do not depend on the optimiser.
            return evaluation_samples + step * num_samples + jnp.arange(num_samples)

        normal = encoded.posterior.base_dist
        start = Gaussian(normal.loc, 2 * jnp.log(normal.scale))
        best = _ascend(
            lambda q, step: log_weights(q, noise_of_step(step)).mean(0),
            start,
            num_steps=num_steps,
            learning_rate=learning_rate,
        )
        elbo_of_start, elbo_of_best = elbo(start), elbo(best)
        return InferenceGaps(
            elbo=elbo_of_start,
            optimised_elbo=elbo_of_best,
            amortisation_gap=elbo_of_best - elbo_of_start,
            approximation_gap=log_likelihood - elbo_of_best,
        )

    return gaps


def _ascend(
    bound: Callable[[Gaussian, jax.Array], jax.Array],
    start: Gaussian,
    *,
    num_steps: int,
    learning_rate: float,
) -> Gaussian:
    """Maximises a noisy bound (q, step) -> [B], of each image by itself."""
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, num_steps))

    def step(state: Any, number: jax.Array) -> Any:
        q, moments = state
        slope = jax.grad(lambda q: -bound(q, number).sum())(q)
        updates, moments = optimizer.update(slope, moments)
        return (optax.apply_updates(q, updates), moments), None

    state = (start, optimizer.init(start))
    (best, _), _ = jax.lax.scan(step, state, jnp.arange(num_steps))
    return best


def _log_weights(inference: Inference, x: jax.Array) -> jax.Array:
    """log p(x, z) - log q(z | x), [K, B], whose gradient by q goes through z only.

    At the exact posterior neither the value nor the gradient then has any noise.

    References:
      Roeder et al. 2017, arXiv 1703.09194, eq. 7.
    """
    (group,) = inference.groups
    log_weights = elbo_terms(inference, x).log_weights
    return log_weights + group.log_q - frozen_log_prob(group)

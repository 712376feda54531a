"""Missing values, given the observed ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae import rng
from vae.data.scaling import Scaling
from vae.models.base import Model
from vae.objectives.base import elbo_terms
from vae.types import Array, Params

ROWS = 20_000  # of the decoder, computed at once


class Imputed(NamedTuple):
    """Examples whose missing values (nan) were imputed; observed ones are as they were.

    The moments are those of p(missing | observed), by importance sampling.
    """

    mean: Array  # [B, *event]
    std: Array  # [B, *event]; 0 for observed values
    draws: Array  # [M, B, *event], multiple imputations
    effective_sample_size: Array  # [B], of the weights, in 1..K

    def in_units_of_data(self, scaling: Scaling) -> "Imputed":
        """Returns the imputations of data that were scaled, without logarithms."""
        return self._replace(
            mean=scaling.invert(self.mean),
            std=self.std * scaling.scale,
            draws=scaling.invert(self.draws),
        )


def make_impute(
    model: Model, num_samples: int, num_draws: int
) -> Callable[[Params, jax.Array, jax.Array | None, jax.Array], Imputed]:
    """Returns (variables, x [B, *event] with nan, labels [B] or None, keys [B]) ->
    `Imputed`, pure.

    K = `num_samples` codes z_k of q(z | observed) have the weights
    w_k = p(observed, z_k) / q(z_k | observed), normalised. The mean is sum_k w_k
    E[x | z_k]. Each of `num_draws` imputations draws one z_k by its weight, then x.

    References:
      Mattei & Frellsen 2019, arXiv 1812.02633, eq. 10 to 12.
    """

    def impute(
        variables: Params, x: jax.Array, labels: jax.Array | None, keys: jax.Array
    ) -> Imputed:
        apply: Any = model.apply
        encoded = apply(variables, x, label=labels, method="encode")
        sample_keys = rng.per_sample(keys, jnp.arange(num_samples))
        inference = apply(variables, encoded, sample_keys, method="infer")
        log_weights = elbo_terms(inference, x).log_weights
        weights = jax.nn.softmax(log_weights, 0)  # [K, B]
        means, variances = inference.likelihood.mean, inference.likelihood.variance

        def average(values: jax.Array) -> jax.Array:
            sums = "kb,kb...->b..."
            return jnp.einsum(sums, weights, values, precision="highest")

        mean = average(means)
        std = jnp.sqrt(average(variances + (means - mean) ** 2))
        is_missing = jnp.isnan(x)
        draws = jnp.zeros((0, *x.shape), x.dtype)
        if num_draws:
            codes = inference.codes
            draws = _draw(apply, variables, codes, log_weights, labels, keys, num_draws)
        return Imputed(
            mean=jnp.where(is_missing, mean, x),
            std=jnp.where(is_missing, std, 0),
            draws=jnp.where(is_missing, draws, x),
            effective_sample_size=1 / (weights**2).sum(0),
        )

    return impute


def _draw(
    apply: Callable[..., Any],
    variables: Params,
    z: jax.Array,
    log_weights: jax.Array,
    labels: jax.Array | None,
    keys: jax.Array,
    count: int,
) -> jax.Array:
    """Returns samples [M, B, *event] of p(x | z), each of one of the codes z [K, B, D],
    drawn by their weights [K, B]."""
    chosen = jax.vmap(lambda key, w: jax.random.categorical(key, w, shape=(count,)))(
        rng.each_named(keys, "chosen"), log_weights.T
    )  # [B, M]
    codes = jax.vmap(lambda of_one, places: of_one[places], (1, 0), 1)(z, chosen)

    def of_one(key: jax.Array, codes: jax.Array, label: jax.Array | None) -> jax.Array:
        """Of one example: samples [M, *event] at codes [M, D]."""
        label = None if label is None else label[None]
        likelihood = apply(variables, codes[:, None], label=label, method="decode")
        return likelihood.sample(key)[:, 0]

    own = rng.each_named(keys, "imputed")
    return jax.vmap(of_one, (0, 1, 0), 1)(own, codes, labels)

"""The rate under a constraint on the distortion (GECO)."""

import jax
import jax.numpy as jnp

from vae.models.base import Model
from vae.nn.layers import ema
from vae.objectives.elbo import Hparams, conclude, elbo_terms, infer
from vae.types import Batch, Metrics, Objective, Params


def make_geco(model: Model, *, num_samples: int = 1) -> Objective:
    """Minimises rate + multiplier * (distortion - distortion_target).

    The multiplier, positive, grows while the distortion, a moving average over
    minibatches, is above `hparams["distortion_target"]` nats, and shrinks below.
    The moving average starts at the target, where the multiplier rests.

    References:
      Rezende & Viola 2018, arXiv 1810.00597, algorithm 1. There the constraint is on
      a reconstruction error of one's choice; here on the distortion, in nats.
    """

    def init(key: jax.Array, batch: Batch) -> Params:
        del key, batch
        return {"log_multiplier": jnp.zeros(()), "average_excess": jnp.zeros(())}

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        del step
        inference = infer(model, params, hparams, batch, key, num_samples=num_samples)
        terms = elbo_terms(inference, batch.image)
        excess = terms.distortion.mean() - hparams["distortion_target"]
        log_multiplier = params["objective"]["log_multiplier"]
        average = params["objective"]["average_excess"]
        multiplier = jax.lax.stop_gradient(jnp.exp(log_multiplier))
        value = terms.rate.mean() + multiplier * excess
        total, metrics = conclude(value, inference, terms, {"multiplier": multiplier})
        # Ascent on the multiplier: descent on what has minus the gradient.
        ascent = -log_multiplier * jax.lax.stop_gradient(average)
        ascent -= jax.lax.stop_gradient(ascent)
        return total + ascent + ema(average, excess), metrics

    return Objective(init, loss)

"""The rate under a constraint on the distortion (GECO)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vae.fields import Count, Number, traced_of
from vae.models.base import Model
from vae.nn.layers import ema
from vae.objectives.base import Hparams, conclude, infer
from vae.types import Batch, ElboTerms, Metrics, Objective, Params


def geco(
    terms: ElboTerms, multiplier: jax.Array, *, distortion_target: Number = 80.0
) -> tuple[jax.Array, jax.Array]:
    """Returns rate + multiplier * excess, and the excess: the distortion above its
    target, in nats.

    References:
      Rezende & Viola 2018, arXiv 1810.00597, eq. 3. There the constraint is on a
      reconstruction error of one's choice; here on the distortion.
    """
    excess = terms.distortion.mean() - distortion_target
    return terms.rate.mean() + multiplier * excess, excess


def make_geco(
    model: Model,
    lagrangian: Callable[..., tuple[jax.Array, jax.Array]],
    *,
    num_samples: Count = 1,
) -> Objective:
    """Minimises a Lagrangian, whose positive multiplier is learned.

    The multiplier grows while the excess, a moving average over minibatches, is above
    0, and shrinks below. The average starts at 0, where the multiplier rests.

    References:
      Rezende & Viola 2018, arXiv 1810.00597, algorithm 1.
    """

    def init(key: jax.Array, batch: Batch) -> Params:
        del key, batch
        return {"log_multiplier": jnp.zeros(()), "average_excess": jnp.zeros(())}

    def loss(
        params: Params, batch: Batch, key: jax.Array, hparams: Hparams, step: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        del step
        inference, terms = infer(
            model, params, hparams, batch, key, num_samples=num_samples
        )
        log_multiplier = params["objective"]["log_multiplier"]
        average = params["objective"]["average_excess"]
        multiplier = jax.lax.stop_gradient(jnp.exp(log_multiplier))
        numbers = traced_of(lagrangian, hparams)
        value, excess = lagrangian(terms, multiplier, **numbers)
        total, metrics = conclude(value, inference, terms, {"multiplier": multiplier})
        # Ascent on the multiplier: descent on what has minus the gradient.
        ascent = -log_multiplier * jax.lax.stop_gradient(average)
        ascent -= jax.lax.stop_gradient(ascent)
        return total + ascent + ema(average, excess), metrics

    return Objective(init, loss)

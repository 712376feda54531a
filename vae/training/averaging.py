"""An exponential moving average of the weights, kept beside an optimizer's state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vae.fields import Decay
from vae.types import Params


class Averaged(NamedTuple):
    """The state of an optimizer that averages the weights."""

    average: Params  # of the model
    inner: optax.OptState


def with_average(
    tx: optax.GradientTransformationExtraArgs, *, ema_decay: Decay = 0.0
) -> optax.GradientTransformationExtraArgs:
    """Keeps an exponential moving average of the model's weights: after each update
    average = d average + (1 - d) weights. With `ema_decay` 0 there is none: `tx`.

    After t earlier steps (skipped ones count) d is min(ema_decay, (1 + t) / (10 + t)).
    So the average soon forgets the initial weights, at which it begins, and is itself a
    set of weights at every step. (Debiased as Adam's moments are, it would have to be
    divided by 1 - d^t wherever it is read.) Averages of batch statistics are averaged,
    too.

    `tx` is to be that of {"model": ..., "objective": ...}.

    References:
      Polyak & Juditsky 1992, SIAM J. Control Optim. 30(4); Child 2020,
      arXiv 2011.10650, who evaluates an average of decay .9999; TensorFlow's
      `tf.train.ExponentialMovingAverage` with `num_updates`, for the early steps.
    """
    if not ema_decay:
        return tx

    def init(params: Any) -> Averaged:
        return Averaged(jax.tree.map(jnp.copy, params["model"]), tx.init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        updates, inner = tx.update(updates, state.inner, params, **extra)
        weights = optax.apply_updates(params["model"], updates["model"])
        share = jnp.maximum(1 - ema_decay, 9 / (10 + extra["step"]))  # 1 - d
        average = jax.tree.map(
            lambda a, w: a + share.astype(a.dtype) * (w - a), state.average, weights
        )
        return updates, Averaged(average, inner)

    return optax.GradientTransformationExtraArgs(init, update)

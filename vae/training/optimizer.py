"""Optimizers whose learning rate is a traced hyperparameter of the train state."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vae.fields import Decay, Natural, NonNegative, Positive, Rate
from vae.nn.layers import EMA_DECAY, is_average

# (learning rate at its peak, step) -> learning rate at this step
Schedule = Callable[[jax.Array, jax.Array], jax.Array]

WIDE = 4_096  # inputs of a dense layer: the pixels of 64x64 grey images


def constant() -> Schedule:
    """The learning rate as it is given."""
    return lambda peak, step: peak


def cosine(*, total_steps: int) -> Schedule:
    """Half a cosine from the peak down to zero at `total_steps`."""
    return lambda peak, step: peak * 0.5 * (1 + jnp.cos(jnp.pi * step / total_steps))


def iwae(*, steps_per_epoch: int) -> Schedule:
    """3^i epochs at peak * 10^(-i/7), for i = 0, 1, 2, ... (i = 7 is the last).

    References:
      Burda et al. 2015, arXiv 1509.00519, sec. 5.
    """
    starts = jnp.array([(3**i - 1) // 2 * steps_per_epoch for i in range(1, 8)])
    return lambda peak, step: peak * 10 ** (-(step >= starts).sum() / 7)


def with_warmup(schedule: Schedule, *, warmup_steps: Natural = 0) -> Schedule:
    """Grows the learning rate linearly from 0 to `schedule` within `warmup_steps`."""
    if warmup_steps == 0:
        return schedule
    return lambda peak, step: (
        schedule(peak, step) * jnp.minimum(1.0, (step + 1) / warmup_steps)
    )


def scale_by_adam(
    *, b1: Decay = 0.9, b2: Decay = 0.999, eps: Positive = 1e-8
) -> optax.GradientTransformation:
    """`optax.scale_by_adam`, with one division for each parameter in place of three.

    m / c1 / (sqrt(v / c2) + eps), with the corrections c1 and c2 of the bias, is
    (sqrt(c2) / c1) m / (sqrt(v) + eps sqrt(c2)). On a CPU divisions and roots are much
    of what Adam takes, and Adam is up to 40% of a small model's step.

    References:
      Kingma & Ba 2014, arXiv 1412.6980, sec. 2 (the same, but for eps).
    """

    def update(updates, state, params=None):
        del params
        count = optax.safe_increment(state.count)
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment(updates, state.nu, b2, 2)
        root = jnp.sqrt(1 - b2**count)
        rate = root / (1 - b1**count)

        def scale(m: jax.Array, v: jax.Array) -> jax.Array:
            return (
                rate.astype(m.dtype) * m / (jnp.sqrt(v) + (eps * root).astype(v.dtype))
            )

        return jax.tree.map(scale, mu, nu), optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(optax.scale_by_adam(b1, b2, eps).init, update)


def scale_by_adamax(
    *, b1: Decay = 0.9, b2: Decay = 0.999, eps: Positive = 1e-8
) -> optax.GradientTransformation:
    """Adam with a decaying maximum of gradients in place of the root of their squares.

    References:
      Kingma & Ba 2014, arXiv 1412.6980, sec. 7.1, algorithm 2.
    """
    return optax.scale_by_adamax(b1, b2, eps)


def scale_by_adagrad(*, eps: Positive = 1e-8) -> optax.GradientTransformation:
    """Adagrad, whose sum of squares begins at 0 (Duchi et al. 2011)."""
    return optax.scale_by_rss(0.0, eps)


def scale_by_rms(
    *, b2: Decay = 0.999, eps: Positive = 1e-8
) -> optax.GradientTransformation:
    """RMSprop, with `eps` added to the root, as in PyTorch."""
    return optax.scale_by_rms(b2, eps, eps_in_sqrt=False)


def momentum(*, b1: Decay = 0.9) -> optax.GradientTransformation:
    """Gradient descent with momentum."""
    return optax.trace(b1)


def scale_by_centered_rms(
    *, b2: Decay = 0.999, eps: Positive = 1e-8
) -> optax.GradientTransformation:
    """`optax.scale_by_stddev`, whose variance may be negative by rounding, and its root
    nan, where a gradient hardly changes.

    References:
      Graves 2013, arXiv 1308.0850, eq. 38 to 40, but for eps, which is added to the
      root, as in PyTorch.
    """

    def update(updates, state, params=None):
        del params
        mu = optax.tree.update_moment(updates, state.mu, b2, 1)
        nu = optax.tree.update_moment(updates, state.nu, b2, 2)

        def scale(gradient: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            return 1 / (jnp.sqrt(jnp.maximum(v - m**2, 0)) + eps) * gradient

        scaled = jax.tree.map(scale, updates, mu, nu)
        return scaled, optax.ScaleByRStdDevState(mu, nu)

    return optax.GradientTransformation(optax.scale_by_stddev().init, update)


def make_optimizer(
    scaling: optax.GradientTransformation,
    schedule: Schedule,
    *,
    learning_rate: Rate = 1e-3,
    clip_norm: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    rate_name: str = "learning_rate",
) -> optax.GradientTransformationExtraArgs:
    """Chains clipping by global norm (0: none), `scaling` (such as
    `scale_by_adam()`) and descent at the scheduled learning rate, which is lower for
    the kernels of dense layers of more than `WIDE` inputs.

    A step also takes `weight_decay` times the scheduled learning rate of each kernel
    away (0: nothing), of those layers too. Biases and other parameters do not decay.

    Its `update` needs the keywords `hparams` (with `rate_name`) and `step`.

    References:
      Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2 (AdamW), whose schedule
      multiplier and lambda are the scheduled learning rate and `weight_decay`, as in
      PyTorch and optax.
    """
    del learning_rate  # traced: every update reads it from `hparams`
    clip = optax.clip_by_global_norm(clip_norm) if clip_norm else None
    steps = [
        clip,
        scaling,
        _limit_wide_layers(),
        _decay_kernels(weight_decay) if weight_decay else None,
        _scale_by_learning_rate(schedule, rate_name),
    ]
    return optax.chain(*(step for step in steps if step is not None))


def multiplier_optimizer(
    *, multiplier_learning_rate: Rate = 1e-4
) -> optax.GradientTransformationExtraArgs:
    """Plain gradient steps, of GECO's multiplier."""
    del multiplier_learning_rate  # traced: every update reads it from `hparams`
    return make_optimizer(
        optax.identity(), constant(), rate_name="multiplier_learning_rate"
    )


def discriminator_optimizer(
    *, discriminator_learning_rate: Rate = 1e-4
) -> optax.GradientTransformationExtraArgs:
    """The Adam of FactorVAE's discriminator.

    References:
      Kim & Mnih 2018, arXiv 1802.05983, appendix A, for the decays.
    """
    del discriminator_learning_rate  # traced: every update reads it from `hparams`
    return make_optimizer(
        scale_by_adam(b1=0.5, b2=0.9),
        constant(),
        rate_name="discriminator_learning_rate",
    )


def by_part(
    model: optax.GradientTransformation, objective: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """Optimizes the parameters {"model": ..., "objective": ...} each in its own way.

    Wherever they stand, those called `average_...` are moving averages, which take
    plain steps of size 1 - EMA_DECAY: see `layers.ema`.
    """

    def label(path: tuple[Any, ...], leaf: jax.Array) -> str:
        del leaf
        return "average" if is_average(path) else str(path[0].key)

    averaging = optax.sgd(1 - EMA_DECAY)
    return optax.partition(
        {"model": model, "objective": objective, "average": averaging},
        lambda params: jax.tree_util.tree_map_with_path(label, params),
    )


def _decay_kernels(weight_decay: float) -> optax.GradientTransformation:
    """Adds `weight_decay` times the weights to the updates of kernels."""

    def decay(path: tuple[Any, ...], update: jax.Array, weight: jax.Array) -> jax.Array:
        return update + weight_decay * weight if path[-1].key == "kernel" else update

    return optax.stateless(
        lambda updates, params: jax.tree_util.tree_map_with_path(decay, updates, params)
    )


def _limit_wide_layers() -> optax.GradientTransformation:
    """Multiplies the update of a dense kernel [inputs, features] by WIDE / inputs if it
    has more than `WIDE` inputs.

    Adam moves each weight by the learning rate, whatever its gradient, so one step
    moves a layer's output by up to the rate times the sum of the inputs. With many
    inputs of one sign, such as the pixels of a photo, the log-variances of the codes
    then overflow within a few steps.

    References:
      Yang et al. 2022, arXiv 2203.03466, table 3 (Adam's rate falls as 1 / inputs).
    """

    def limit(path: tuple[Any, ...], update: jax.Array) -> jax.Array:
        is_dense = path[-1].key == "kernel" and update.ndim == 2
        if not is_dense or update.shape[0] <= WIDE:
            return update
        return update * (WIDE / update.shape[0])

    return optax.stateless(
        lambda updates, params: jax.tree_util.tree_map_with_path(limit, updates)
    )


def _scale_by_learning_rate(
    schedule: Schedule, rate_name: str
) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by minus the learning rate, read from the train state."""

    def init(params: optax.Params) -> optax.OptState:
        del params
        return optax.EmptyState()

    def update(updates, state, params=None, **extra):
        del params
        hparams, step = extra["hparams"], extra["step"]
        rate = schedule(hparams[rate_name], step)
        return jax.tree.map(lambda u: -rate.astype(u.dtype) * u, updates), state

    return optax.GradientTransformationExtraArgs(init, update)

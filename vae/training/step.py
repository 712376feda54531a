"""The train step, and many of them in one compiled call."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vae import rng
from vae.data.batching import batch_indices, epoch_order
from vae.data.preprocess import Preprocess
from vae.data.splits import Split
from vae.fields import NonNegative
from vae.nn.layers import without_averages
from vae.training.state import NORMS, SKIPPED, Carry, TrainState, add_to_totals
from vae.types import Array, Batch, Metrics, Objective

TrainStep = Callable[..., tuple[TrainState, Metrics]]
RunStep = Callable[[Carry, Split, jax.Array], Carry]
# (carry, data, positions [B], number of steps) -> carry
TrainCall = Callable[[Carry, Split, jax.Array, Array], Carry]


def make_train_step(
    objective: Objective,
    tx: optax.GradientTransformationExtraArgs,
    *,
    axis_name: str | None = None,
    skip_norm: NonNegative = 0.0,
) -> TrainStep:
    """Returns the pure function (state, batch) -> (state, metrics).

    Under `pmap`, name its axis: gradients and metrics are averaged over it. Besides
    the objective's metrics there are the norms of gradient and parameters; a caller may
    skip them with `with_norms=False` (they are then 0). The update's norm is not there:
    that alone would keep the compiler from applying an update as it is computed, and
    cost a small step 40% more.

    The norm of the gradient (the metric `grad_norm`) leaves out moving averages. With
    `skip_norm`, an update is skipped if the norm is above it, or if the norm or the
    loss is not finite. Then all parameters, moving averages too, and the optimizer's
    state stay as they are; the step goes on, and with it random numbers and the
    schedule. `SKIPPED` is 1, and the objective's metrics are 0; see `state.is_stuck`
    for when a run is given up.

    References:
      Child 2020, arXiv 2011.10650, gradient skipping.
    """
    value_and_grad = jax.value_and_grad(objective.loss, has_aux=True)

    def train_step(
        state: TrainState, batch: Batch, with_norms: jax.Array | bool = True
    ) -> tuple[TrainState, Metrics]:
        key = rng.at_step(state.seed, "train", state.step)
        (_, metrics), grads = value_and_grad(
            state.params, batch, key, state.hparams, state.step
        )
        if axis_name is not None:
            grads, metrics = jax.lax.pmean((grads, metrics), axis_name)
        updates, opt_state = tx.update(
            grads,
            state.opt_state,
            state.params,
            hparams=state.hparams,
            step=state.step,
        )
        params = optax.apply_updates(state.params, updates)
        gradient, is_skipped = without_averages(grads), None
        if skip_norm:
            is_good = jnp.isfinite(metrics["loss"])
            is_skipped = ~(is_good & (optax.tree.norm(gradient) <= skip_norm))
            params, opt_state = jax.tree.map(
                lambda old, new: jnp.where(is_skipped, old, new),
                (state.params, state.opt_state),
                (params, opt_state),
            )
        norms = jax.lax.cond(
            with_norms,
            lambda: [optax.tree.norm(tree) for tree in (gradient, params)],
            lambda: [jnp.zeros_like(metrics["loss"])] * len(NORMS),
        )
        metrics |= dict(zip(NORMS, norms, strict=True))
        if is_skipped is not None:
            metrics = _of_updates(metrics, is_skipped)
        step = state.step + 1
        return state._replace(step=step, params=params, opt_state=opt_state), metrics

    return train_step


def _of_updates(metrics: Metrics, is_skipped: jax.Array) -> Metrics:
    """Returns metrics that are 0 if the update is skipped, except a norm that is finite
    and that of the parameters: if they are not finite, the run has diverged."""
    of_gradient, of_params = NORMS
    norm = metrics[of_gradient]
    kept = {
        of_gradient: jnp.where(is_skipped & ~jnp.isfinite(norm), 0, norm),
        of_params: metrics[of_params],
        SKIPPED: is_skipped.astype(norm.dtype),
    }
    zeros = {name: jnp.where(is_skipped, 0, value) for name, value in metrics.items()}
    return zeros | kept


def make_run_step(
    train_step: TrainStep,
    preprocess: Preprocess,
    is_logged: Callable[[jax.Array], jax.Array],
) -> RunStep:
    """Returns (carry, stored examples, positions [B]) -> carry: preprocess, step, add.

    `is_logged(step)` says after which steps the totals are read: norms are computed
    there only.
    """

    def run_step(carry: Carry, examples: Split, positions: jax.Array) -> Carry:
        state, totals = carry
        batch = make_batch(examples, preprocess, positions, state.seed, state.step)
        state, metrics = train_step(state, batch, is_logged(state.step + 1))
        return state, add_to_totals(totals, metrics, state.step)

    return run_step


def make_batch(
    examples: Split,
    preprocess: Preprocess,
    positions: jax.Array,
    seed: jax.Array | int,
    step: jax.Array | int,
) -> Batch:
    """Preprocesses stored images [B, H, W, C] into the batch of `step`."""
    keys = rng.per_example(rng.at_step(seed, "preprocess", step), positions)
    return Batch(preprocess(examples.images, keys), examples.labels, positions)


def make_resident_call(
    run_step: RunStep, *, steps_per_epoch: int, batch_size: int
) -> TrainCall:
    """Returns a call on data that lies on the device: a Split of all stored images.

    An epoch's order is drawn once when the call enters the epoch. The number of steps
    is traced, so one program serves calls of every length; so are the labels that are
    kept, if `hparams` has them.
    """

    def call(
        carry: Carry, data: Split, positions: jax.Array, num_steps: Array
    ) -> Carry:
        end = carry[0].step + num_steps
        labels = carry[0].hparams.get("keep_labels")
        kept = None if labels is None else _is_kept(labels, data.labels)

        def run_epoch(carry: Carry) -> Carry:
            first = carry[0].step
            epoch = first // steps_per_epoch
            order = epoch_order(carry[0].seed, epoch, data.size, kept)
            stop = jnp.minimum(end, (epoch + 1) * steps_per_epoch)

            def body(step: jax.Array, carry: Carry) -> Carry:
                batch_in_epoch = step - epoch * steps_per_epoch
                chosen = batch_indices(order, batch_in_epoch, positions, batch_size)
                examples = jax.tree.map(lambda array: array[chosen], data)
                return run_step(carry, examples, positions)

            return jax.lax.fori_loop(first, stop, body, carry)

        return jax.lax.while_loop(lambda carry: carry[0].step < end, run_epoch, carry)

    return call


def _is_kept(labels: jax.Array, of_data: jax.Array) -> jax.Array:
    """Says of each example whether its label is kept, as `labels` says of 0, 1, ...;
    negative labels are not."""
    how: Any = {"mode": "fill", "fill_value": False, "wrap_negative_indices": False}
    return labels.at[of_data].get(**how)


def make_streaming_call(run_step: RunStep) -> TrainCall:
    """Returns a call on a chunk of batches: a Split of images [S, B, H, W, C]."""

    def call(
        carry: Carry, data: Split, positions: jax.Array, num_steps: Array
    ) -> Carry:
        def body(i: jax.Array, carry: Carry) -> Carry:
            examples = jax.tree.map(lambda array: array[i], data)
            return run_step(carry, examples, positions)

        return jax.lax.fori_loop(0, num_steps, body, carry)

    return call

"""The train state: arrays only, so that it maps, shards, donates and checkpoints."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vae import rng
from vae.models.base import Model
from vae.models.padding import pad_to, variables_of
from vae.training.averaging import Averaged
from vae.types import Batch, Metrics, Objective, Params


class TrainState(NamedTuple):
    """Everything that a step changes or depends on, except the data."""

    step: jax.Array  # [] int32, steps taken
    seed: jax.Array  # [] uint32, of every random number
    params: Params  # {"model": ..., "objective": ...}
    opt_state: optax.OptState
    hparams: dict[str, jax.Array]  # traced scalars: learning_rate, beta, ...

    @property
    def averaged(self) -> "TrainState | None":
        """The state with the average of the weights in their place, for use and not for
        training; None if there is no average."""
        if not isinstance(self.opt_state, Averaged):
            return None
        params = {**self.params, "model": self.opt_state.average}
        return self._replace(params=params, opt_state=())

    @property
    def variables(self) -> Params:
        """What the model's `apply` takes."""
        return variables_of(self.params["model"], self.hparams)


class Totals(NamedTuple):
    """Sums of the metrics since they were last logged, carried from step to step.

    They are checkpointed with the state, so that a run may be cut at any step and
    still log what it would have logged.
    """

    steps: jax.Array  # [] int32, how many steps were summed
    sums: Metrics  # norms are computed at logged steps only and are 0 at others
    # [] int32 each: first step with nan or inf, or NEVER. Of `SKIPPED`: the first of
    # the updates that were skipped one after the other up to this step.
    nonfinite_since: Metrics


# Of one run; or of a population of M, whose arrays are [M, ...], but for the counts of
# steps, which all its runs share.
Carry = tuple[TrainState, Totals]
NEVER = jnp.iinfo(jnp.int32).max
NORMS = ("grad_norm", "param_norm")
SKIPPED = "skipped"  # the metric, 0 or 1, of whether an update was skipped
MOST_SKIPPED = 100  # updates in a row, after which a run is given up


def create_train_state(
    seed: jax.Array | int,
    batch: Batch,
    *,
    wide: tuple[Model, Objective],
    own: tuple[Model, Objective] | None = None,
    tx: optax.GradientTransformation,
    hparams: dict[str, jax.Array],
) -> TrainState:
    """Initialises parameters and optimizer; pure in `seed`, which may be traced.

    Args:
      seed: of every random number.
      batch: an example of what will come.
      wide: model and objective at the width at which they are computed.
      own: the same at their own size, to which they are initialised, then padded; None
        if they have no padding.
      tx: the optimizer.
      hparams: traced scalars.
    """
    keys = rng.per_example(rng.stream(seed, "init"), batch.position)

    def initialize(model: Model, objective: Objective) -> Params:
        variables = model.init(
            rng.stream(seed, "model_init"), batch.x, keys, label=batch.label
        )
        own = objective.init(rng.stream(seed, "objective_init"), batch)
        return {"model": variables["params"], "objective": own}

    params = initialize(*(own or wide))
    if own is not None:
        params = pad_to(params, jax.eval_shape(lambda: initialize(*wide)))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        seed=jnp.asarray(seed, jnp.uint32),
        params=params,
        opt_state=tx.init(params),
        hparams=hparams,
    )


def emptied(totals: Totals) -> Totals:
    """Returns totals of the same shapes, of no steps, in the host's memory."""
    zeros: Totals = jax.tree.map(np.zeros_like, totals)
    since = totals.nonfinite_since
    never = {name: np.full_like(array, NEVER) for name, array in since.items()}
    never |= {name: since[name] for name in since if name == SKIPPED}
    return zeros._replace(nonfinite_since=never)


def totals_of(totals: Totals, run: int) -> Totals:
    """Returns the totals of one run of a population."""
    own = totals.sums, totals.nonfinite_since
    return Totals(totals.steps, *jax.tree.map(lambda array: array[run], own))


def stack_runs(runs: Sequence[Carry]) -> Carry:
    """Returns the population of runs at the same step, in the host's memory."""
    return map_runs(lambda *arrays: np.stack(arrays), *jax.device_get(runs))


def run_of(population: Carry, run: int | jax.Array) -> Carry:
    """Returns one run of a population."""
    return map_runs(lambda array: array[run], population)


def map_runs(function: Callable[..., Any], *carries: Carry) -> Carry:
    """Maps the arrays that each run has of its own; takes the counts of the first."""
    state, totals = carries[0]
    own = [(s._replace(step=None), t._replace(steps=None)) for s, t in carries]
    mapped, sums = jax.tree.map(function, *own)
    return mapped._replace(step=state.step), sums._replace(steps=totals.steps)


def without_hparams(carry: Carry) -> Carry:
    """Returns what a checkpoint holds of state and totals: what training changes. The
    numbers of the config come from the config, so that a config may grow new ones."""
    state, totals = carry
    return state._replace(hparams={}), totals


def with_hparams(saved: Carry, hparams: dict[str, jax.Array]) -> Carry:
    """The inverse of `without_hparams`."""
    state, totals = saved
    return state._replace(hparams=hparams), totals


def is_essential(name: str) -> bool:
    """Whether a run depends on the array of this name in a checkpoint of `Carry`: on
    the state, but not on the sums since the last log, nor on the numbers of the config,
    which the first checkpoints held."""
    return name.startswith("0.") and not name.startswith("0.hparams.")


def read_totals(totals: Totals) -> dict[str, float]:
    """Returns the means over the summed steps whose updates were not skipped (nan if
    there are none), the share of those that were, and the norms at the last step."""
    sums = {name: float(value) for name, value in totals.sums.items()}
    steps = int(totals.steps)
    if not steps:
        raise ZeroDivisionError("totals of no steps have no means")
    kept = steps - sums.get(SKIPPED, 0)
    means = {name: value / kept if kept else math.nan for name, value in sums.items()}
    norms = {name: sums[name] for name in NORMS if name in sums}
    shares = {name: sums[name] / steps for name in sums if name == SKIPPED}
    return means | norms | shares


def first_nonfinite(totals: Totals) -> tuple[int, list[str]] | None:
    """Returns the first step with a nan or infinite metric and which, or None."""
    since = {n: int(step) for n, step in totals.nonfinite_since.items() if n != SKIPPED}
    first = min(since.values())
    return None if first == NEVER else (first, [n for n in since if since[n] == first])


def is_stuck(totals: Totals, step: int) -> bool:
    """Whether the last `MOST_SKIPPED` updates up to `step` were all skipped: parameters
    do not change then, and hardly one of the updates to come would be another."""
    since = totals.nonfinite_since.get(SKIPPED, np.int32(NEVER))
    return step - int(since) + 1 >= MOST_SKIPPED


def zero_totals(names: Iterable[str], dtype: jnp.dtype) -> Totals:
    """Returns empty totals for the metrics called `names`."""
    return Totals(
        steps=jnp.zeros((), jnp.int32),
        sums={name: jnp.zeros((), dtype) for name in names},
        nonfinite_since={name: jnp.full((), NEVER, jnp.int32) for name in names},
    )


def add_to_totals(totals: Totals, metrics: Metrics, step: jax.Array) -> Totals:
    """Adds the metrics of the step that has just taken the state to `step`."""
    since = {
        name: jnp.minimum(
            totals.nonfinite_since[name],
            jnp.where(jnp.isfinite(value), NEVER, step),
        )
        for name, value in metrics.items()
    }
    if SKIPPED in metrics:
        first = jnp.minimum(totals.nonfinite_since[SKIPPED], step)
        since[SKIPPED] = jnp.where(metrics[SKIPPED] > 0, first, NEVER)
    return Totals(
        steps=totals.steps + 1,
        sums={name: totals.sums[name] + value for name, value in metrics.items()},
        nonfinite_since=since,
    )

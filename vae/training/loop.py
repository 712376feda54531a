"""The training loop: calls the compiled program, logs, evaluates, checkpoints."""

import resource
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from vae.fields import Count, Natural
from vae.training.checkpoint import Checkpointer
from vae.training.state import (
    Carry,
    TrainState,
    first_nonfinite,
    read_totals,
    without_hparams,
    zero_totals,
)
from vae.types import Request


class TrainPlan(NamedTuple):
    """How long a run is and what happens when; all in steps, 0 means never."""

    steps: Count = 10_000
    log_every: Count = 500
    evaluate_every: Natural = 0
    steps_per_call: Count = 1_000
    checkpoint_every: Natural = 5_000

    def is_logged(self, step: Any) -> Any:
        """Says whether metrics are logged after `step` steps; `step` may be traced."""
        return (step % self.log_every == 0) | (step == self.steps)

    def calls(self, start: int) -> list[tuple[int, int]]:
        """Cuts the steps from `start` to the end into calls (first step, end step).

        A call ends wherever something is to be done between steps.
        """
        cadences = [
            self.steps_per_call,
            self.log_every,
            self.evaluate_every,
            self.checkpoint_every,
        ]
        calls = []
        while start < self.steps:
            ends = [(start // every + 1) * every for every in cadences if every]
            end = min(*ends, self.steps)
            calls.append((start, end))
            start = end
        return calls


class Clock:
    """Sums what training costs: seconds in all and by what they went into, and the
    most memory that the process has held."""

    def __init__(self, cost: Mapping[str, float]):
        self.cost = {"train": 0.0, "data_wait": 0.0, "checkpoint": 0.0, **cost}

    @contextmanager
    def time(self, *names: str) -> Iterator[None]:
        """A context whose duration is added to each of `names`."""
        start = time.perf_counter()
        yield
        for name in names:
            self.cost[name] += time.perf_counter() - start

    def note_memory(self) -> None:
        """Takes the process's peak memory, in MiB, if it is the highest so far."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        mebibytes = peak / (2**20 if sys.platform == "darwin" else 2**10)
        name = "peak_memory_mib"
        self.cost[name] = max(mebibytes, self.cost.get(name, 0.0))


# Tried on photos at a rate of 0.1: warm-up helped each of three seeds, a tenth two of
# them; clipping helped none, as Adam's steps do not depend on the gradient's scale.
ADVICE = (
    "try optimizer.schedule.warmup_steps=100, or a tenth of optimizer.learning_rate, "
    "in another --workdir"
)


class Diverged(Exception):
    """A metric became nan or infinite.

    Attributes:
      step: the first step whose metric is not finite. Those of step 1 are of the first
        parameters, which no training has changed.
      terms: the names of these metrics.
      last_good: the step of the last checkpoint, or None.
    """

    def __init__(
        self, step: int, terms: list[str], last_good: int | None, advice: str = ADVICE
    ):
        self.step, self.terms, self.last_good = step, terms, last_good
        good = "none" if last_good is None else f"step {last_good}"
        super().__init__(
            f"diverged at step {step}: {', '.join(terms)} became nan or infinite; last "
            f"good checkpoint: {good}; {advice}"
        )


class Interrupted(Exception):
    """The user or the system asked the run to stop, and its state was saved."""


class Writer(Protocol):
    def write(self, step: int, metrics: dict[str, float]) -> None: ...
    def flush(self) -> None: ...


def train(
    carry: Carry,
    ask_call: Callable[[Carry, Any, int], Request],
    data: Iterator[Any],
    *,
    plan: TrainPlan,
    clock: Clock,
    checkpointer: Checkpointer,
    writer: Writer,
    evaluate: Callable[[TrainState], Generator[Request, Any, dict[str, float]]],
    on_log: Callable[[int, dict[str, float]], None],
    should_stop: Callable[[int], bool],
) -> Generator[Request, Any, Carry]:
    """Trains from the carry's step to the end of the plan and returns the last carry.

    Args:
      carry: state and totals; donated to the routine.
      ask_call: (carry, data of the call, number of steps) -> a request, which is
        answered by the next carry.
      data: gives the data of each of `plan.calls(step)` in turn.
      plan: the cadences.
      clock: sums the time spent.
      checkpointer: saves the carry at the plan's cadence, at the end, and on request.
      writer: takes the metrics; flushed before each checkpoint.
      evaluate: gives validation metrics of the state.
      on_log: told of each logged step, for people to see.
      should_stop: asked after each call; if true, the run is saved and ends.

    Raises:
      Diverged: a metric is not finite; nothing was saved since.
      Interrupted: `should_stop` said so.
      SaveError: the disk did not take a checkpoint.
    """
    for first, end in plan.calls(int(carry[0].step)):
        with clock.time("train", "data_wait"):
            chunk = next(data)
        with clock.time("train"):
            # Waiting here costs a dispatch per call and keeps the clock honest; the
            # next chunk is read ahead meanwhile.
            carry = jax.block_until_ready((yield ask_call(carry, chunk, end - first)))
        metrics = {}
        if plan.is_logged(end):
            with clock.time("train"):
                metrics, carry = _read_and_reset(carry, checkpointer)
        if plan.evaluate_every and end % plan.evaluate_every == 0:
            metrics |= yield from evaluate(carry[0])
        if metrics:
            writer.write(end, metrics)
            on_log(end, metrics)
        stop = should_stop(end)
        due = plan.checkpoint_every and end % plan.checkpoint_every == 0
        if end < plan.steps and (due or stop):
            with clock.time("train", "checkpoint"):
                _save(end, carry, checkpointer, writer, clock)
        if end < plan.steps and stop:
            checkpointer.wait()
            raise Interrupted(f"stopped and saved at step {end} of {plan.steps}")
    # Not timed, so that the clock that is saved is the clock that is returned.
    _save(plan.steps, carry, checkpointer, writer, clock)
    checkpointer.wait()
    return carry


def _read_and_reset(
    carry: Carry, checkpointer: Checkpointer
) -> tuple[dict[str, float], Carry]:
    state, totals = carry
    totals_now = jax.device_get(totals)
    _check_finite(totals_now, checkpointer)
    means = read_totals(totals_now)
    zeros = jax.device_get(zero_totals(means, totals_now.sums["loss"].dtype))
    zeros = jax.device_put(zeros, jax.tree.map(lambda array: array.sharding, totals))
    return {f"train/{name}": value for name, value in means.items()}, (state, zeros)


def _save(
    step: int, carry: Carry, checkpointer: Checkpointer, writer: Writer, clock: Clock
) -> None:
    _check_finite(jax.device_get(carry[1]), checkpointer)
    params = jax.tree.leaves(jax.device_get(carry[0].params))
    if not all(np.isfinite(leaf).all() for leaf in params):
        raise Diverged(step, ["parameters"], last_good=_last(checkpointer))
    writer.flush()
    clock.note_memory()
    checkpointer.save(step, without_hparams(carry), {"cost": clock.cost})


def _check_finite(totals: Any, checkpointer: Checkpointer) -> None:
    found = first_nonfinite(totals)
    if found is not None:
        raise Diverged(*found, last_good=_last(checkpointer))


def _last(checkpointer: Checkpointer) -> int | None:
    """Returns the step of the last checkpoint, once it is on disk."""
    checkpointer.wait()
    return max(checkpointer.steps(), default=None)

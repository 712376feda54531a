"""The training loop: calls the compiled program, logs, evaluates, checkpoints."""

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from vae.fields import Count, Natural
from vae.training.checkpoint import Checkpointer
from vae.training.state import (
    MOST_SKIPPED,
    SKIPPED,
    Carry,
    Totals,
    TrainState,
    emptied,
    first_nonfinite,
    is_stuck,
    read_totals,
    run_of,
    totals_of,
    without_hparams,
)


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

    def note_memory(self) -> None:
        """Takes the process's peak memory, in MiB, if it is the highest so far."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        mebibytes = peak / (2**20 if sys.platform == "darwin" else 2**10)
        name = "peak_memory_mib"
        self.cost[name] = max(mebibytes, self.cost.get(name, 0.0))


@contextmanager
def timed(clocks: Sequence[Clock], *names: str) -> Iterator[None]:
    """A context whose duration is added to each of `names` on each clock."""
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    for clock in clocks:
        for name in names:
            clock.cost[name] += seconds


# Tried on photos at a rate of 0.1: warm-up helped each of three seeds, a tenth two of
# them; clipping helped none, as Adam's steps do not depend on the gradient's scale.
ADVICE = (
    "try optimizer.schedule.warmup_steps=100, or a tenth of optimizer.learning_rate, "
    "in another --workdir"
)


class Diverged(Exception):
    """A metric became nan or infinite, or `MOST_SKIPPED` updates in a row were skipped
    (then the step is the last of them, and the term is `SKIPPED`).

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
        what = f"{', '.join(terms)} became nan or infinite"
        if terms == [SKIPPED]:
            what = f"{MOST_SKIPPED} updates in a row were skipped"
            advice = f"try a larger optimizer.skip_norm; or {advice}"
        super().__init__(
            f"diverged at step {step}: {what}; last good checkpoint: {good}; {advice}"
        )


class Interrupted(Exception):
    """The user or the system asked the run to stop, and its state was saved."""


class Writer(Protocol):
    def write(self, step: int, metrics: dict[str, float]) -> None: ...
    def flush(self) -> None: ...


class Records:
    """What is written of one run while it trains.

    Args:
      clock: sums the time that its population takes.
      checkpointer: saves its state and totals.
      writer: takes its metrics; flushed before each checkpoint.
      on_log: called at each logged step, to show its metrics.
      on_diverged: called at once if the run diverges.

    Attributes:
      diverged: the error, once the run has diverged. Nothing is written after it.
    """

    def __init__(
        self,
        clock: Clock,
        checkpointer: Checkpointer,
        writer: Writer,
        on_log: Callable[[int, dict[str, float]], None],
        on_diverged: Callable[[Diverged], None] = lambda error: None,
    ):
        self.clock, self.checkpointer = clock, checkpointer
        self._writer, self._on_log, self._on_diverged = writer, on_log, on_diverged
        self.diverged: Diverged | None = None

    def log(self, step: int, metrics: dict[str, float]) -> None:
        if metrics and self.diverged is None:
            self._writer.write(step, metrics)
            self._on_log(step, metrics)

    def check(self, step: int, totals: Totals) -> None:
        """Marks the run as diverged if its totals at `step`, on the host, are not
        finite, or all its updates are skipped."""
        found = first_nonfinite(totals)
        if found is not None:
            self._mark_diverged(*found)
        elif is_stuck(totals, step):
            self._mark_diverged(step, [SKIPPED])

    def save(self, step: int, carry: Carry) -> None:
        """Saves the run, unless it has diverged.

        Raises:
          SaveError: the disk did not take it.
        """
        self.check(step, jax.device_get(carry[1]))
        params = jax.tree.leaves(jax.device_get(carry[0].params))
        if not all(np.isfinite(leaf).all() for leaf in params):
            self._mark_diverged(step, ["parameters"])
        if self.diverged is None:
            self._writer.flush()
            self.clock.note_memory()
            info = {"cost": self.clock.cost}
            self.checkpointer.save(step, without_hparams(carry), info)

    def _mark_diverged(self, step: int, terms: list[str]) -> None:
        if self.diverged is None:
            self.checkpointer.wait()  # the last checkpoint is on disk then
            last_good = max(self.checkpointer.steps(), default=None)
            self.diverged = Diverged(step, terms, last_good)
            self._on_diverged(self.diverged)


def train(
    carry: Carry,
    call: Callable[[Carry, Any, int], Carry],
    data: Iterator[Any],
    *,
    plan: TrainPlan,
    records: Sequence[Records],
    validate: Callable[[TrainState], Sequence[dict[str, float]]],
    should_stop: Callable[[int], bool],
) -> Carry:
    """Trains a population from its step to the end of the plan; returns its last carry.

    A run that diverges is marked in its records; the others go on.

    Args:
      carry: state and totals of the population; donated to `call`.
      call: (carry, data of the call, number of steps) -> carry.
      data: gives the data of each of `plan.calls(step)` in turn.
      plan: the cadences.
      records: of each run. The population may be wider: runs without records fill it.
      validate: gives validation metrics of each run.
      should_stop: asked after each call; if true, the runs are saved and training ends.

    Raises:
      Interrupted: `should_stop` said so.
      SaveError: the disk did not take a checkpoint.
    """
    clocks = [run.clock for run in records]
    for first, end in plan.calls(int(carry[0].step)):
        with timed(clocks, "train", "data_wait"):
            chunk = next(data)
        with timed(clocks, "train"):
            # Waiting keeps the clocks honest; the next chunk is read ahead meanwhile.
            carry = jax.block_until_ready(call(carry, chunk, end - first))
        metrics: list[dict[str, float]] = [{} for _ in records]
        if plan.is_logged(end):
            with timed(clocks, "train"):
                metrics, carry = _read_and_reset(carry, records)
        if all(run.diverged for run in records):
            break
        if plan.evaluate_every and end % plan.evaluate_every == 0:
            found = validate(carry[0])
            metrics = [{**a, **b} for a, b in zip(metrics, found, strict=True)]
        for run, own in zip(records, metrics, strict=True):
            run.log(end, own)
        is_last, stop = end == plan.steps, should_stop(end)
        if is_last:
            # Not timed, so that the clock that is saved is the clock that is returned.
            _save(end, carry, records, wait=True)
        elif stop or (plan.checkpoint_every and end % plan.checkpoint_every == 0):
            with timed(clocks, "train", "checkpoint"):
                _save(end, carry, records, wait=stop)
        if all(run.diverged for run in records):
            break
        if stop and not is_last:
            raise Interrupted(f"stopped and saved at step {end} of {plan.steps}")
    return carry


def _read_and_reset(
    carry: Carry, records: Sequence[Records]
) -> tuple[list[dict[str, float]], Carry]:
    """Returns what each run logs, and the carry with empty totals."""
    state, totals = carry
    read, metrics = jax.device_get(totals), []
    for i, run in enumerate(records):
        own = totals_of(read, i)
        run.check(int(state.step), own)
        means = read_totals(own)
        metrics.append({f"train/{name}": value for name, value in means.items()})
    shardings = jax.tree.map(lambda array: array.sharding, totals)
    return metrics, (state, jax.device_put(emptied(read), shardings))


def _save(step: int, carry: Carry, records: Sequence[Records], *, wait: bool) -> None:
    """Saves each run; with `wait`, returns when all is on disk."""
    for i, run in enumerate(records):
        if run.diverged is None:
            run.save(step, _run_of(carry, i))
    for run in records:
        if wait:
            run.checkpointer.wait()


_run_of = jax.jit(run_of)

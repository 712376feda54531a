"""Trains an experiment to its end, from wherever it was left, then evaluates it."""

import contextlib
import itertools
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import multihost_utils

from experiments import interrupt, tracking, workdir
from experiments.evaluate import evaluate_and_report, is_done
from experiments.failures import cause_before_training
from experiments.program import Program, chunks, describe_data, make_program
from experiments.runs import keep_examples, restore_carry
from experiments.terminal import ProgressReport, print_results, say
from experiments.trained import TrainedRuns, causes
from vae.build import Config, Experiment, build, operative
from vae.data.load import load_dataset
from vae.evaluation.base import Trained
from vae.evaluation.collapse import COLLAPSED_RATE, SETTLED, remedies
from vae.training.checkpoint import Checkpointer
from vae.training.loop import Clock, Diverged, Records, train
from vae.training.metrics import NullWriter
from vae.training.state import Carry, TrainState
from vae.types import UserError


def run(config: Config | None, folder: Path, *, data: str | None = None) -> None:
    """Trains and evaluates; a run that is there already is continued, or shown.

    Args:
      config: None for that of the run in `folder`.
      folder: the workdir.
      data: where the data are now, as for `dataset.name`; None for where they were.
    """
    config = workdir.choose_config(folder, config, data)
    try:
        dataset = load_dataset(config)
    except UserError as error:
        if _is_finished(config, folder):
            say(f"{folder}: trained and evaluated already ({error})")
            print_results(workdir.read_results(folder), str(folder))
            return
        is_run = data is None and (folder / "config.json").exists()
        hint = "; if the data are elsewhere, give --data=SOURCE" if is_run else ""
        raise UserError(f"{error}{hint}") from error
    experiment = build(config, dataset=dataset)
    for note in experiment.notes:
        say(note)
    program = make_program(experiment)
    workdir.check(folder, experiment.config, program.data_hash)
    if is_done(experiment.config, folder):
        say(f"{folder}: trained and evaluated already; nothing to do")
    else:

        def on_done(index: int, outcome: Outcome) -> None:
            if outcome is not None:
                raise outcome

        train_and_evaluate([Member(experiment, folder)], program, on_done=on_done)
    if jax.process_index() == 0:
        print_results(workdir.read_results(folder), str(folder))


def _is_finished(config: Config, folder: Path) -> bool:
    """Whether the folder holds the results of this configuration, whose data need not
    be there to show them."""
    settled = workdir.settle_as_held(folder, operative(config))
    try:
        workdir.check(folder, settled, data_hash=None)
    except UserError:
        return False
    return is_done(settled, folder)


class Member(NamedTuple):
    """A run of a population, and its folder."""

    experiment: Experiment
    folder: Path


Outcome = UserError | Diverged | None  # why a run could not be done; None: it is done


def train_and_evaluate(
    members: Sequence[Member],
    program: Program,
    *,
    width: int = 1,
    quiet: bool = False,
    stop: Callable[[], bool] = interrupt.requested,
    on_done: Callable[[int, Outcome], None],
) -> None:
    """Does what is left to do of runs that share a program, of which those at the same
    step are one population.

    Args:
      members: at most `width` runs.
      program: theirs.
      width: runs of a population; copies of the last fill those left over.
      quiet: whether progress is not shown.
      stop: whether to stop; asked after each call and each batch.
      on_done: called with the index and the outcome of each member when it ends.

    Raises:
      SaveError: a disk did not take a checkpoint.
      Interrupted: `stop` said so; what was trained is saved.
    """
    with contextlib.ExitStack() as in_use:
        started: dict[int, _Started] = {}
        carries: dict[int, Carry] = {}
        for i, member in enumerate(members):
            try:
                started[i], carries[i] = _start(member, program, in_use)
            except UserError as error:
                on_done(i, error)
        for step in sorted({run.step for run in started.values()}):
            group = {i: run for i, run in started.items() if run.step == step}
            own = [carries.pop(i) for i in group]
            diverged, runs = _train([*group.values()], own, program, width, quiet, stop)
            for index, (i, run) in enumerate(group.items()):
                outcome = diverged[index]
                if outcome is None:
                    outcome = _evaluate(run, runs.trained(index), quiet, stop)
                on_done(i, outcome)


class _Started(NamedTuple):
    """A run that is initialised or restored."""

    experiment: Experiment
    folder: Path
    checkpointer: Checkpointer
    step: int
    clock: Clock


def _start(
    member: Member, program: Program, in_use: contextlib.ExitStack
) -> tuple[_Started, Carry]:
    """Initialises or restores a run. Its folder stays `in_use` until the end, and its
    carry is in the host's memory.

    Raises:
      UserError: the folder is in use by another process, or holds another run.
    """
    experiment, folder = member
    in_use.enter_context(workdir.locked(folder))
    workdir.describe(folder, experiment.config, program.data_hash)
    if jax.process_index() == 0:
        keep_examples(folder, experiment, program.data_hash)
    checkpointer = in_use.enter_context(closing(Checkpointer(folder)))
    carry = program.initialize(experiment)
    restored = restore_carry(checkpointer, carry)
    step, cost = 0, {}
    if restored is not None:
        step, cost, carry = restored.step, restored.info["cost"], restored.tree
    started = _Started(experiment, folder, checkpointer, step, Clock(cost))
    return started, jax.device_get(carry)


def _train(
    started: Sequence[_Started],
    carries: list[Carry],
    program: Program,
    width: int,
    quiet: bool,
    stop: Callable[[], bool],
) -> tuple[list[Diverged | None], TrainedRuns]:
    """Trains runs at the same step as one population, and frees `carries`; returns the
    divergence of each run, or None, and the trained runs."""
    first, plan = started[0], started[0].experiment.plan
    copies = width - len(started)
    runs = [run.experiment for run in started]
    carry = first.experiment.placement.place([*carries, *carries[-1:] * copies])
    carries.clear()
    if first.step == plan.steps:
        return [None] * len(started), TrainedRuns(runs, program, carry[0])
    if not quiet:
        if first.step:
            say(f"continuing at step {first.step} of {plan.steps}")
        say("compiling")
    carry = _compile(carry, first.experiment, program, width)

    def validate(state: TrainState) -> list[dict[str, float]]:
        return TrainedRuns(runs, program, state).validate()

    with contextlib.ExitStack() as writers:
        progress = writers.enter_context(
            ProgressReport("train", first.step, plan.steps, "steps", quiet=quiet)
        )
        records = [_records(run, progress, writers, quiet) for run in started]
        state, _ = train(
            carry,
            program.advance,
            chunks([*runs, *runs[-1:] * copies], program, first.step),
            plan=program.plan,
            records=records,
            validate=validate,
            should_stop=_make_should_stop(stop),
        )
    diverged = [
        run.diverged and _with_cause(member.experiment, run.diverged)
        for member, run in zip(started, records, strict=True)
    ]
    return diverged, TrainedRuns(runs, program, state)


def _compile(
    carry: Carry, experiment: Experiment, program: Program, width: int
) -> Carry:
    """Compiles the program by a call of no steps."""
    data = describe_data(experiment, program, width)
    if not experiment.resident:
        data = jax.tree.map(
            lambda array: jnp.zeros(array.shape, array.dtype, device=array.sharding),
            data,
        )
    return jax.block_until_ready(program.advance(carry, data, 0))


def _records(
    started: _Started,
    progress: ProgressReport,
    writers: contextlib.ExitStack,
    quiet: bool,
) -> Records:
    is_main = jax.process_index() == 0
    run = started.folder, started.step, started.experiment.config
    writer = tracking.ForwardingWriter(*run) if is_main else NullWriter()
    writers.enter_context(closing(writer))
    on_log = _make_on_log(started.experiment, progress, quiet=quiet)

    def on_diverged(error: Diverged) -> None:
        where = {"step": error.step, "terms": error.terms}
        if is_main:
            workdir.write_json(started.folder / "diverged.json", where)

    return Records(started.clock, started.checkpointer, writer, on_log, on_diverged)


def _with_cause(experiment: Experiment, error: Diverged) -> Diverged:
    """Returns the error with its cause, if that is not training."""
    if error.step > 1:
        return error
    cause = cause_before_training(experiment)
    return Diverged(error.step, error.terms, error.last_good, cause)


def _evaluate(
    started: _Started, trained: Trained, quiet: bool, stop: Callable[[], bool]
) -> UserError | None:
    """Evaluates a run; returns why it could not be done, or None."""
    experiment, folder, cost = started.experiment, started.folder, started.clock.cost
    try:
        evaluate_and_report(experiment, trained, folder, cost, quiet=quiet, stop=stop)
    except UserError as error:
        return error
    return None


def _make_on_log(
    experiment: Experiment, progress: ProgressReport, *, quiet: bool
) -> Callable[[int, dict[str, float]], None]:
    """Returns what shows each logged step, and warns once if codes say nothing of
    images when the first tenth of training is over."""
    is_warned = quiet

    def on_log(step: int, metrics: dict[str, float]) -> None:
        nonlocal is_warned
        progress.advance_to(step, metrics)
        rate = metrics.get("train/rate_nats", COLLAPSED_RATE)
        is_late = step > max(SETTLED, experiment.plan.steps / 10)
        if is_late and rate < COLLAPSED_RATE and not is_warned:
            is_warned = True
            advice = ", ".join(remedies("collapsed", **causes(experiment)))
            say(
                f"warning: the latent space is collapsed at step {step} (rate "
                f"{rate:.3f} nats); may help: {advice}"
            )

    return on_log


def _make_should_stop(stop: Callable[[], bool]) -> Callable[[int], bool]:
    """Returns what says after each call whether to stop.

    On several hosts JAX agrees on the call after which all of them stop, once SIGTERM
    has come to one of them; it counts calls, not steps.
    """
    if jax.process_count() == 1:
        return lambda step: stop()
    calls = itertools.count(1)
    return lambda step: multihost_utils.reached_preemption_sync_point(next(calls))

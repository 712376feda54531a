"""Trains an experiment to its end, from wherever it was left, then evaluates it."""

import functools
import itertools
import math
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils

from configs import default
from experiments import interrupt, workdir
from experiments.evaluate import causes, evaluate_and_report, is_done, make_trained
from experiments.program import Program, answer, ask_call, chunks, make_program
from experiments.runs import keep_examples, restore_carry
from experiments.terminal import ProgressReport, print_results, say
from vae.build import Config, Experiment, build, operative
from vae.data.load import load_dataset
from vae.data.preprocess import pixel_range
from vae.evaluation.bounds import evaluate_split
from vae.evaluation.collapse import COLLAPSED_RATE, SETTLED, remedies
from vae.training.checkpoint import Checkpointer
from vae.training.loop import Clock, Diverged, train
from vae.training.metrics import MetricWriter, NullWriter
from vae.training.state import TrainState
from vae.types import Request, UserError

Run = Generator[Request, Any, Any]


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
        answer(train_and_evaluate(experiment, program, folder))
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


def train_and_evaluate(
    experiment: Experiment, program: Program, folder: Path, *, quiet: bool = False
) -> Run:
    """Does in `folder` what is left to do; a generator of what is to be computed."""
    with workdir.locked(folder):
        workdir.describe(folder, experiment.config, program.data_hash)
        if jax.process_index() == 0:
            keep_examples(folder, experiment, program.data_hash)
        try:
            state, cost = yield from train_in(experiment, program, folder, quiet=quiet)
        except Diverged as error:
            if jax.process_index() == 0:
                where = {"step": error.step, "terms": error.terms}
                workdir.write_json(folder / "diverged.json", where)
            if error.step > 1:
                raise
            cause = _cause_before_training(experiment)
            raise Diverged(error.step, error.terms, error.last_good, cause) from error
        yield from evaluate_and_report(
            experiment, program, state, folder, cost, quiet=quiet
        )


def train_in(
    experiment: Experiment, program: Program, folder: Path, *, quiet: bool = False
) -> Generator[Request, Any, tuple[TrainState, dict[str, float]]]:
    """Trains in `folder` and returns the last state and what it cost."""
    with closing(Checkpointer(folder)) as checkpointer:
        return (
            yield from _train_in(experiment, program, folder, checkpointer, quiet=quiet)
        )


def _train_in(
    experiment: Experiment,
    program: Program,
    folder: Path,
    checkpointer: Checkpointer,
    *,
    quiet: bool,
) -> Generator[Request, Any, tuple[TrainState, dict[str, float]]]:
    carry = program.initialize(experiment)
    restored = restore_carry(checkpointer, carry)
    step, cost = 0, {}
    if restored is not None:
        step, cost, carry = restored.step, restored.info["cost"], restored.tree
        if not quiet:
            say(f"continuing at step {step} of {experiment.plan.steps}")
    if step == experiment.plan.steps:
        return carry[0], cost
    ask = functools.partial(ask_call, experiment, program)
    if not quiet:
        say("compiling")
    carry = yield ask(carry, program.data, 0)  # compiles, and takes no step
    clock = Clock(cost)
    is_main = jax.process_index() == 0
    writer = MetricWriter(folder, step) if is_main else NullWriter()
    progress = ProgressReport(
        "train", step, experiment.plan.steps, "steps", quiet=quiet
    )
    with closing(writer), progress:
        carry = yield from train(
            carry,
            ask,
            chunks(experiment, program, step),
            plan=program.plan,
            clock=clock,
            checkpointer=checkpointer,
            writer=writer,
            evaluate=functools.partial(_validate, experiment, program),
            on_log=_make_on_log(experiment, progress, quiet=quiet),
            should_stop=_make_should_stop(),
        )
    return carry[0], clock.cost


def _cause_before_training(experiment: Experiment) -> str:
    """Returns what may be wrong if the first parameters, which no step has changed,
    have no finite loss: the images, or numbers that are far from their defaults."""
    low, high = pixel_range(experiment.dataset.train)
    defaults = workdir.flatten(operative(default.get_config()))
    odd = [
        f"{field}={value} (default {defaults[field]})"
        for field, value in workdir.flatten(experiment.config).items()
        if isinstance(value, float) and _is_far(value, defaults.get(field, value))
    ]
    return (
        "no step of training was taken, so the images or the config are the cause: "
        f"pixels range from {low:.4g} to {high:.4g}; "
        f"{', '.join(odd) or 'all numbers of the config are near their defaults'}"
    )


def _is_far(value: float, default: float) -> bool:
    """Whether a number is a hundred times larger or smaller than its default."""
    if not value or not default:
        return abs(value - default) > 100
    return abs(math.log10(abs(value / default))) > 2


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


def _make_should_stop() -> Callable[[int], bool]:
    """Returns what says after each call whether to stop.

    On several hosts JAX agrees on the call after which all of them stop, once SIGTERM
    has come to one of them; it counts calls, not steps.
    """
    if jax.process_count() == 1:
        return lambda step: interrupt.requested()
    calls = itertools.count(1)
    return lambda step: multihost_utils.reached_preemption_sync_point(next(calls))


VALIDATION = (
    "validation/elbo_nats",
    "validation/distortion_nats",
    "validation/rate_nats",
)


def _validate(
    experiment: Experiment, program: Program, state: TrainState
) -> Generator[Request, Any, dict[str, float]]:
    split = experiment.dataset.validation
    trained = make_trained(experiment, program, state)
    results = yield from evaluate_split(
        trained, split, name="validation", num_samples=1
    )
    return {name: float(results[name]) for name in VALIDATION}

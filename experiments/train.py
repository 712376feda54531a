"""Trains an experiment to its end, from wherever it was left, then evaluates it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from experiments import workdir
from experiments.evaluate import evaluate_and_report
from experiments.program import initial_carry, make_data_path
from experiments.terminal import ProgressReport, print_results, say
from vae.build import Experiment, build
from vae.data.splits import Split, content_hash
from vae.training.checkpoint import Checkpointer
from vae.training.loop import Clock, train
from vae.training.metrics import MetricWriter, NullWriter
from vae.training.step import Carry
from vae.types import Params

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(config: ConfigDict, folder: Path) -> None:
    """Trains and evaluates; a run that is there already is continued, or shown."""
    experiment = build(config)
    data_hash = content_hash(experiment.dataset)
    workdir.check(folder, experiment.config, data_hash)
    results = workdir.read_json(folder / "results.json")
    held = workdir.read_json(folder / "config.json")
    if results and held["evaluate"] == experiment.config["evaluate"]:
        say(f"{folder}: trained and evaluated already; nothing to do")
        print_results(results, str(folder))
        return
    if jax.process_index() == 0:
        workdir.open_for_writing(folder, experiment.config, data_hash)
    params, seconds = train_in(experiment, folder)
    evaluate_and_report(experiment, params, folder, seconds)


def train_in(experiment: Experiment, folder: Path) -> tuple[Params, dict[str, float]]:
    """Trains in `folder` and returns the model's parameters and the seconds spent."""
    with closing(Checkpointer(folder)) as checkpointer:
        return _train_in(experiment, folder, checkpointer)


def _train_in(
    experiment: Experiment, folder: Path, checkpointer: Checkpointer
) -> tuple[Params, dict[str, float]]:
    carry = jax.device_get(initial_carry(experiment))
    carry = jax.device_put(carry, experiment.placement.replicated)
    restored = checkpointer.restore(carry)
    step, seconds = 0, {}
    if restored is not None:
        step, seconds, carry = restored.step, restored.info["seconds"], restored.tree
        say(f"continuing at step {step} of {experiment.plan.steps}")
    if step == experiment.plan.steps:
        return carry[0].params["model"], seconds
    path = make_data_path(experiment, step)
    positions = experiment.placement.positions(experiment.batch_size)

    def run_call(carry: Carry, data: Split, num_steps: int) -> Carry:
        return path.call(carry, data, positions, np.asarray(num_steps, np.int32))

    carry = run_call(carry, path.example, 0)  # compiles, and takes no step
    clock = Clock(seconds)
    is_main = jax.process_index() == 0
    writer = MetricWriter(folder, step) if is_main else NullWriter()
    progress = ProgressReport("train", step, experiment.plan.steps, "steps")
    evaluate = experiment.make_evaluator(name="validation", num_samples=1)
    with closing(writer), progress, stop_on_signal() as should_stop:
        carry = train(
            carry,
            run_call,
            path.chunks,
            plan=path.plan,
            clock=clock,
            checkpointer=checkpointer,
            writer=writer,
            evaluate=lambda params: _scalars(
                evaluate(params["model"], experiment.dataset.validation)
            ),
            on_log=progress.advance_to,
            should_stop=should_stop,
        )
    return carry[0].params["model"], clock.seconds


@contextmanager
def stop_on_signal() -> Iterator[Callable[[int], bool]]:
    """Gives a function of the step that says whether SIGINT or SIGTERM has come.

    A second Ctrl-C interrupts at once. On several hosts, JAX agrees on the step.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        if received and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        received.append(number)  # and no more: a handler may run within anything

    old = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield lambda step: bool(received)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _scalars(results: dict[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in results.items()
        if not isinstance(value, list)
    }

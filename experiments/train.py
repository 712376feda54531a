"""Trains an experiment to its end, from wherever it was left, then evaluates it."""

import itertools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from experiments import interrupt, workdir
from experiments.evaluate import evaluate_and_report, is_done
from experiments.program import initial_carry, make_data_path
from experiments.terminal import ProgressReport, print_results, say
from vae.build import Config, Experiment, build
from vae.data.splits import Split, content_hash
from vae.training.checkpoint import Checkpointer
from vae.training.loop import Clock, train
from vae.training.metrics import MetricWriter, NullWriter
from vae.training.step import Carry
from vae.types import Params


def run(config: Config, folder: Path) -> None:
    """Trains and evaluates; a run that is there already is continued, or shown."""
    experiment = build(config)
    data_hash = content_hash(experiment.dataset)
    workdir.check(folder, experiment.config, data_hash)
    if is_done(experiment, folder):
        say(f"{folder}: trained and evaluated already; nothing to do")
        print_results(workdir.read_json(folder / "results.json"), str(folder))
        return
    with workdir.locked(folder):
        workdir.describe(folder, experiment.config, data_hash)
        params, cost = train_in(experiment, folder)
        evaluate_and_report(experiment, params, folder, cost)


def train_in(experiment: Experiment, folder: Path) -> tuple[Params, dict[str, float]]:
    """Trains in `folder` and returns the model's parameters and what it cost."""
    with closing(Checkpointer(folder)) as checkpointer:
        return _train_in(experiment, folder, checkpointer)


def _train_in(
    experiment: Experiment, folder: Path, checkpointer: Checkpointer
) -> tuple[Params, dict[str, float]]:
    carry = initial_carry(experiment)
    restored = checkpointer.restore(carry)
    step, cost = 0, {}
    if restored is not None:
        step, cost, carry = restored.step, restored.info["cost"], restored.tree
        say(f"continuing at step {step} of {experiment.plan.steps}")
    if step == experiment.plan.steps:
        return carry[0].params["model"], cost
    path = make_data_path(experiment, step)
    positions = experiment.placement.positions(experiment.batch_size)

    def run_call(carry: Carry, data: Split, num_steps: int) -> Carry:
        return path.call(carry, data, positions, np.asarray(num_steps, np.int32))

    carry = run_call(carry, path.example, 0)  # compiles, and takes no step
    clock = Clock(cost)
    is_main = jax.process_index() == 0
    writer = MetricWriter(folder, step) if is_main else NullWriter()
    progress = ProgressReport("train", step, experiment.plan.steps, "steps")
    evaluate = experiment.make_evaluator(name="validation", num_samples=1)
    with closing(writer), progress:
        carry = train(
            carry,
            run_call,
            path.chunks,
            plan=path.plan,
            clock=clock,
            checkpointer=checkpointer,
            writer=writer,
            evaluate=lambda params: _validation_metrics(
                evaluate(params["model"], experiment.dataset.validation)
            ),
            on_log=progress.advance_to,
            should_stop=_make_should_stop(),
        )
    return carry[0].params["model"], clock.cost


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


def _validation_metrics(results: dict[str, Any]) -> dict[str, float]:
    return {name: float(results[name]) for name in VALIDATION}

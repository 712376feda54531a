"""Trains an experiment to its end, from wherever it was left, then evaluates it."""

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from experiments import workdir
from experiments.evaluate import evaluate_and_report
from experiments.terminal import ProgressReport, print_results, say
from vae.build import Experiment, build
from vae.data import streaming
from vae.data.splits import Split, content_hash
from vae.training.checkpoint import Checkpointer
from vae.training.loop import Clock, TrainPlan, train
from vae.training.metrics import MetricWriter, NullWriter
from vae.training.parallel import compile_call
from vae.training.state import create_train_state, zero_totals
from vae.training.step import (
    Carry,
    TrainCall,
    make_batch,
    make_resident_call,
    make_run_step,
    make_streaming_call,
    make_train_step,
)
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


class DataPath(NamedTuple):
    """How the training data reach the compiled program."""

    call: TrainCall  # compiled for the devices of the run
    example: Split  # on the devices, of the shape of the chunks
    chunks: Iterator[Split]  # the data of each call in turn
    plan: TrainPlan  # cuts the steps into calls


def make_data_path(experiment: Experiment, start: int) -> DataPath:
    """Chooses between data that lie on the device and data that stream to it."""
    plan, placement = experiment.plan, experiment.placement
    train_split, batch_size = experiment.dataset.train, experiment.batch_size
    step = make_train_step(
        experiment.objective, experiment.tx, axis_name=placement.axis_name
    )
    run_step = make_run_step(step, experiment.preprocess, plan.is_logged)
    if experiment.resident:
        call = make_resident_call(
            run_step, size=train_split.size, batch_size=batch_size
        )
        data = jax.device_put(train_split, placement.replicated)
        return DataPath(
            compile_call(call, placement, resident=True),
            data,
            itertools.repeat(data),
            plan,
        )
    steps = streaming.steps_per_chunk(train_split, batch_size, plan.steps_per_call)
    plan = plan._replace(steps_per_call=steps)
    chunks = streaming.stream_chunks(
        train_split,
        plan.calls(start),
        seed=experiment.seed,
        batch_size=batch_size,
        chunk_steps=steps,
        sharding=placement.chunk,
    )
    blank = train_split[np.zeros((steps, batch_size), np.int64)]
    return DataPath(
        compile_call(make_streaming_call(run_step), placement, resident=False),
        jax.device_put(blank, placement.chunk),
        chunks,
        plan,
    )


def initial_carry(experiment: Experiment) -> Carry:
    """Initialises state and totals, compiled, on the default device."""
    first = experiment.dataset.train[: experiment.batch_size]

    def create(examples: Split) -> Carry:
        positions = jnp.arange(experiment.batch_size, dtype=jnp.int32)
        batch = make_batch(
            examples, experiment.preprocess, positions, experiment.seed, 0
        )
        state = create_train_state(
            experiment.seed,
            batch,
            model=experiment.model,
            objective=experiment.objective,
            tx=experiment.tx,
            hparams=experiment.hparams,
        )
        step = make_train_step(experiment.objective, experiment.tx)
        _, metrics = jax.eval_shape(step, state, batch)
        return state, zero_totals(metrics, metrics["loss"].dtype)

    return jax.jit(create)(first)


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

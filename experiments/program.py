"""The compiled training program of an experiment, and the data that feed it."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae.build import Experiment
from vae.data import streaming
from vae.data.splits import Split
from vae.training.loop import TrainPlan
from vae.training.parallel import compile_call
from vae.training.state import NORMS, create_train_state, zero_totals
from vae.training.step import (
    Carry,
    TrainCall,
    make_batch,
    make_resident_call,
    make_run_step,
    make_streaming_call,
    make_train_step,
)


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
    """Initialises state and totals, the same on every device of the run."""
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
        names = (*experiment.metric_names, *NORMS)
        return state, zero_totals(names, batch.image.dtype)

    carry = jax.device_get(jax.jit(create)(first))
    return jax.device_put(carry, experiment.placement.replicated)

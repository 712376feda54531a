"""The compiled functions of an experiment, and the data that feed them."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae.build import Experiment
from vae.data import streaming
from vae.data.splits import Split, content_hash
from vae.evaluation.bounds import ROWS_PER_CHUNK, ImageBounds, make_evaluate_batch
from vae.models.base import Model
from vae.saved import cut_padding
from vae.training.loop import TrainPlan
from vae.training.parallel import Placement, compile_call
from vae.training.state import (
    NORMS,
    SKIPPED,
    TrainState,
    create_train_state,
    zero_totals,
)
from vae.training.step import (
    Carry,
    TrainCall,
    make_batch,
    make_resident_call,
    make_run_step,
    make_streaming_call,
    make_train_step,
)
from vae.types import Objective, Params


class Program(NamedTuple):
    """Compiled functions, each when it is first called.

    They serve every experiment that differs from the one they were made for in `seed`,
    `hparams` and `config` only, and in `latent_dim` if that is one of its `hparams`.
    Those of one device serve another, too: see `put`.
    """

    initialize: Callable[[Experiment], Carry]  # of one run
    call: TrainCall  # of a population
    # (name of the split, number of samples, M) -> `make_evaluate_batch` of one run, or
    # (variables [M, ...], seeds [M], images [M, B], places [B]) -> bounds [B, M]
    evaluate: Callable[[str, int, int], Callable[..., ImageBounds]]
    # (make, *arguments) -> make(model, preprocess, *arguments), jitted; with
    # `latent_dim`, of the model of that size, without padding.
    compiled: Callable[..., Callable[..., Any]]
    # The training data on the devices, or the shapes of a run's chunk [S, B, ...].
    data: Split
    positions: jax.Array  # of the examples of a batch
    plan: TrainPlan  # cuts the steps into calls
    data_hash: str

    def advance(self, carry: Carry, data: Split, steps: int) -> Carry:
        """Trains a population for `steps` steps; the carry is donated."""
        return self.call(carry, data, self.positions, np.asarray(steps, np.int32))


def make_program(experiment: Experiment) -> Program:
    """Prepares what is compiled, and puts small data on the devices."""
    placement, plan = experiment.placement, experiment.plan
    one = placement.num_devices == 1  # what is computed there stays, whichever it is
    train_split, batch_size = experiment.data.everything.train, experiment.batch_size
    step = make_train_step(
        experiment.objective,
        experiment.tx,
        axis_name=placement.axis_name,
        skip_norm=experiment.skip_norm,
    )
    run_step = make_run_step(step, experiment.augmented, plan.is_logged)
    if experiment.resident:
        call = make_resident_call(
            run_step,
            steps_per_epoch=experiment.steps_per_epoch,
            batch_size=batch_size,
        )
        data = jax.device_put(train_split, placement.replicated)
    else:  # a chunk is as long as the memory for it allows
        call = make_streaming_call(run_step)
        steps = streaming.steps_per_chunk(train_split, batch_size, plan.steps_per_call)
        plan = plan._replace(steps_per_call=steps)
        data = jax.tree.map(
            lambda array: jax.ShapeDtypeStruct(
                (steps, batch_size, *array.shape[1:]), array.dtype
            ),
            train_split,
        )

    @functools.cache
    def evaluate(name: str, num_samples: int, size: int) -> Callable[..., ImageBounds]:
        evaluate_batch = make_evaluate_batch(
            experiment.model,
            experiment.preprocess,
            name=name,
            num_samples=num_samples,
            rows=ROWS_PER_CHUNK // size,
        )
        out: dict[str, Any] = {} if one else {"out_shardings": placement.replicated}
        if size > 1:
            evaluate_batch = jax.vmap(evaluate_batch, (0, 0, 0, None), 1)
        return jax.jit(evaluate_batch, **out)

    @functools.cache
    def compiled(
        make: Callable[..., Any], *arguments: Any, latent_dim: int | None = None
    ) -> Callable[..., Any]:
        model = experiment.model
        if latent_dim is not None:
            model, _ = experiment.make_own(latent_dim)
        return jax.jit(make(model, experiment.preprocess, *arguments))

    return Program(
        initialize=_make_initialize(experiment),
        call=compile_call(call, placement, resident=experiment.resident),
        evaluate=evaluate,
        compiled=compiled,
        data=data,
        positions=placement.positions(batch_size),
        plan=plan,
        data_hash=_hash_data(experiment),
    )


def put(program: Program, placement: Placement) -> Program:
    """Returns a program of one device with its data on another, for members there."""
    data = program.data
    if isinstance(data.images, jax.Array):
        data = jax.device_put(data, placement.replicated)
    positions = jax.device_put(program.positions, placement.replicated)
    return program._replace(data=data, positions=positions)


def describe_data(experiment: Experiment, program: Program, size: int) -> Split:
    """Returns the data of a call for `size` runs: the training data on the device, or
    the shapes of a chunk."""
    if experiment.resident:
        return program.data
    sharding = experiment.placement.chunk
    return jax.tree.map(
        lambda of_run: jax.ShapeDtypeStruct(
            (size, *of_run.shape), of_run.dtype, sharding=sharding
        ),
        program.data,
    )


def chunks(runs: Sequence[Experiment], program: Program, start: int) -> Iterator[Split]:
    """Yields the data of each call of a population in turn, from step `start` on."""
    base = runs[0]
    if base.resident:
        return itertools.repeat(program.data)
    return streaming.stream_chunks(
        base.data.everything.train,
        program.plan.calls(start),
        runs=[(run.seed, _kept(run)) for run in runs],
        steps_per_epoch=base.steps_per_epoch,
        batch_size=base.batch_size,
        chunk_steps=program.plan.steps_per_call,
        sharding=base.placement.chunk,
    )


def own_model(experiment: Experiment, state: TrainState) -> tuple[Model, Params]:
    """Returns the trained model at its own size, without padding, and its variables."""
    model, _ = experiment.make_own(experiment.latent_dim)
    return model, cut_padding(experiment, state.variables)


def _make_initialize(experiment: Experiment) -> Callable[[Experiment], Carry]:
    """Returns (experiment) -> state and totals, the same on every device of the run."""
    compiled: dict[Any, Callable[..., Carry]] = {}

    def initialize(member: Experiment) -> Carry:
        key = member.latent_dim, tuple(member.config["dataset"]["keep_labels"])
        if key not in compiled:
            own = member.make_own(member.latent_dim)
            compiled[key] = jax.jit(functools.partial(_create, experiment, own))
        first = member.dataset.train[: experiment.batch_size]
        carry = compiled[key](np.uint32(member.seed), member.hparams, first)
        # Where memory lacks, this raises; `device_get` alone would wait for ever.
        carry = jax.block_until_ready(carry)
        return jax.device_put(jax.device_get(carry), member.placement.replicated)

    return initialize


def _create(
    experiment: Experiment,
    own: tuple[Model, Objective],
    seed: jax.Array,
    hparams: dict[str, jax.Array],
    examples: Split,
) -> Carry:
    """Returns the state of a run whose model is `own`, and its totals, at step 0."""
    positions = jnp.arange(examples.size, dtype=jnp.int32)
    batch = make_batch(examples, experiment.preprocess, positions, seed, 0)
    state = create_train_state(
        seed,
        batch,
        wide=(experiment.model, experiment.objective),
        own=own,
        tx=experiment.tx,
        hparams=hparams,
    )
    names = (*experiment.metric_names, *NORMS, *[SKIPPED] * bool(experiment.skip_norm))
    return state, zero_totals(names, batch.x.dtype)


def _hash_data(experiment: Experiment) -> str:
    """Returns the hash of a run's data. The labels of pictures are the names of their
    folders, which also give their order: earlier versions read none, and their runs
    are of the same data."""
    data = experiment.data.everything
    if experiment.config["dataset"]["name"].startswith("images:"):
        data = data.map(lambda split: split._replace(labels=None))
    return content_hash(data)


def _kept(experiment: Experiment) -> np.ndarray | None:
    """Says which of all training examples are kept; None: all."""
    labels = experiment.config["dataset"]["keep_labels"]
    return np.isin(experiment.data.everything.train.labels, labels) if labels else None

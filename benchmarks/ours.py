"""This project's side: the compiled functions that a launch runs, timed alone."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp

from benchmarks.timing import Contestant
from experiments.cells import override
from experiments.environment import DETERMINISTIC
from experiments.program import Program, make_program, put
from experiments.sweep import use_cores
from experiments.trained import make_trained
from vae.build import Config, Experiment, build, vary
from vae.evaluation.bounds import evaluate_split
from vae.training.parallel import one_per_device, runs_over_devices

MEMBERS = 8


def training(config: Config, name: str) -> Contestant:
    """Steps of one run."""
    experiment = build(config)
    return Contestant(name, _steps_of([experiment], make_program(experiment)))


def training_nondeterministic(config: Config, name: str) -> Contestant:
    """Steps of one run, as `--nodeterministic` compiles them; in a process of its own,
    before JAX has started."""
    flags = os.environ.get("XLA_FLAGS", "")
    on, off = (f"{DETERMINISTIC}={state}" for state in ("true", "false"))
    os.environ["XLA_FLAGS"] = flags.replace(on, off)
    return training(config, name)


def _steps_of(runs: Sequence[Experiment], program: Program) -> Callable[[int], None]:
    """Steps of a population."""
    placement = runs[0].placement
    carry = placement.place([program.initialize(run) for run in runs])

    def run(steps: int) -> None:
        nonlocal carry
        for size in _calls(steps, program):
            carry = jax.block_until_ready(program.advance(carry, program.data, size))

    return run


def together(config: Config, count: int = MEMBERS, num_devices: int = 0) -> Contestant:
    """Steps of `count` runs of different seeds, as `--executor=vmap` makes them, on so
    many devices (0: all, with a CPU's cores as devices)."""
    if not num_devices:
        use_cores()
    base = build(config, runs_over_devices(num_devices))
    run = _steps_of(_members(base, config, count), make_program(base))
    return Contestant(f"ours, vmap of {count}", run, per_unit=count)


def in_turn(config: Config) -> Contestant:
    """Steps of `MEMBERS` runs of different seeds, as `--executor=map` makes them."""
    use_cores()
    placements = one_per_device(0)
    base = build(config, placements[0])
    program = make_program(base)
    runs = []
    for i, member in enumerate(_members(base, config, MEMBERS)):
        placement = placements[i % len(placements)]
        on_device = member._replace(placement=placement)
        runs.append(_steps_of([on_device], put(program, placement)))

    def run(steps: int) -> None:
        with ThreadPoolExecutor(len(placements)) as pool:
            list(pool.map(lambda member: member(steps), runs))

    return Contestant(f"ours, map over {MEMBERS}", run, per_unit=MEMBERS)


def _members(base: Experiment, config: Config, count: int) -> list[Experiment]:
    return [vary(base, override(config, {"seed": seed})) for seed in range(count)]


def likelihood_bound(config: Config) -> Contestant:
    """Test images whose importance-weighted bound is computed."""
    experiment = build(config)
    program = make_program(experiment)
    state, _ = program.initialize(experiment)
    trained = make_trained(experiment, program, state)
    size, samples = trained.batch_size, trained.importance_samples
    test = experiment.dataset.test
    most = test.size // size  # batches of different images

    def run(batches: int) -> None:
        for start in range(0, batches, most):
            images = test[: min(most, batches - start) * size]
            evaluate_split(trained, images, name="test", num_samples=samples)

    return Contestant("ours", run, per_unit=size)


def products(side: int, dtype: str = "float32") -> Contestant:
    """Products of two square matrices."""
    square, multiply = jnp.ones((side, side), dtype), jax.jit(jnp.matmul)

    def run(count: int) -> None:
        for _ in range(count):
            jax.block_until_ready(multiply(square, square))

    return Contestant("jax", run)


def copies(megabytes: int) -> Contestant:
    """Bytes that are read and written by adding one to an array."""
    array, add = jnp.ones(megabytes * 2**18, jnp.float32), jax.jit(lambda x: x + 1)

    def run(count: int) -> None:
        for _ in range(count):
            jax.block_until_ready(add(array))

    return Contestant("copies", run, per_unit=2 * array.nbytes)


def _calls(steps: int, program: Program) -> Iterator[int]:
    """Yields the sizes of the calls that make so many steps."""
    most = program.plan.steps_per_call
    yield from [most] * (steps // most)
    if steps % most:
        yield steps % most

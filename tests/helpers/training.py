"""Training without files."""

from typing import Any

import jax
import numpy as np

from experiments.program import Program, chunks, make_program
from vae.build import Experiment, build
from vae.training.state import Carry, run_of


def advance(
    experiment: Experiment, program: Program, carry: Carry, data: Any, steps: int
) -> Carry:
    """Trains one run for so many steps."""
    population = program.advance(experiment.placement.place([carry]), data, steps)
    return run_of(population, 0)


def train(config: Any, *, calls: list[int] | None = None) -> Carry:
    """Trains in calls of the given numbers of steps."""
    experiment = build(config)
    program = make_program(experiment)
    carry = program.initialize(experiment)
    for num_steps, data in zip(
        calls or [config.train.steps], chunks([experiment], program, 0), strict=False
    ):
        carry = advance(experiment, program, carry, data, num_steps)
    return jax.device_get(carry)


def assert_equal(left: Any, right: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, left, right)

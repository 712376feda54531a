"""Training without files."""

from typing import Any

import jax
import numpy as np

from experiments.program import ask_call, chunks, make_program
from vae.build import build
from vae.training.state import Carry


def train(config: Any, *, calls: list[int] | None = None) -> Carry:
    """Trains in calls of the given numbers of steps."""
    experiment = build(config)
    program = make_program(experiment)
    carry = program.initialize(experiment)
    for num_steps, data in zip(
        calls or [config.train.steps], chunks(experiment, program, 0), strict=False
    ):
        carry = ask_call(experiment, program, carry, data, num_steps).compute()
    return jax.device_get(carry)


def assert_equal(left: Any, right: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, left, right)

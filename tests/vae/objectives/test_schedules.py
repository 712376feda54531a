import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae.objectives import schedules


@pytest.mark.parametrize(
    ("annealing", "values"),
    [
        (schedules.constant, {0: 1, 500: 1}),
        (schedules.linear, {0: 0, 25: 0.25, 100: 1, 250: 1}),
        (schedules.sigmoid, {0: 0.0066929, 50: 0.5, 100: 0.9933071}),
        (schedules.cyclical, {0: 0, 25: 0.5, 50: 1, 99: 1, 100: 0, 125: 0.5}),
    ],
)
def test_annealing(annealing, values: dict[int, float]) -> None:
    for step, expected in values.items():
        got = jax.jit(annealing)(jnp.int32(step), jnp.float32(100))
        np.testing.assert_allclose(got, expected, atol=1e-6)

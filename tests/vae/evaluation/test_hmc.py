import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae import rng
from vae.evaluation import hmc
from vae.evaluation.hmc import Joint

DIM, CHAINS, TEMPERATURE = 3, 5_000, 0.6
SLOPES = np.random.default_rng(0).normal(size=(4, DIM))
X = np.random.default_rng(1).normal(size=(2, 4))  # two images of four pixels
JOINT = Joint(
    log_prior=lambda z: -(z**2).sum(-1) / 2,
    log_likelihood=lambda z: -((X - z @ SLOPES.T) ** 2).sum(-1),
)


def target(temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """The means [2, D] and the covariance [D, D] of p(z) p(x | z)^t, a Gaussian."""
    covariance = np.linalg.inv(np.eye(DIM) + 2 * temperature * SLOPES.T @ SLOPES)
    return 2 * temperature * X @ SLOPES @ covariance, covariance


def exact_draws() -> np.ndarray:
    """Samples [K, 2, D] of the target."""
    means, covariance = target(TEMPERATURE)
    noise = np.random.default_rng(2).normal(size=(CHAINS, 2, DIM))
    return (means + noise @ np.linalg.cholesky(covariance).T).astype(np.float32)


@functools.partial(jax.jit, static_argnums=2)
def moved(z: np.ndarray, step_size: np.ndarray, times: int):
    """Where chains are after so many transitions, and how probable the last were."""
    state, acceptance = hmc.init(JOINT, z), jnp.zeros(())
    for number in range(times):
        keys = rng.per_example(rng.stream(number, "test"), jnp.arange(2))
        keys = rng.per_sample(keys, jnp.arange(len(z)))
        state, acceptance = hmc.step(JOINT, state, TEMPERATURE, step_size, keys)
    return state, acceptance


def deviations(z: np.ndarray) -> np.ndarray:
    """How far the first and second moments of samples [K, 2, D] are from those of the
    target, in standard errors."""
    means, covariance = target(TEMPERATURE)
    centred = np.asarray(z, np.float64) - means
    products = centred[..., :, None] * centred[..., None, :] - covariance
    return np.concatenate(
        [
            np.abs(values.mean(0) / (values.std(0) / np.sqrt(len(values)))).ravel()
            for values in (centred, products)
        ]
    )


def test_a_gaussian_target_is_left_as_it_is() -> None:
    """At a step size that is mostly accepted, and at one that is mostly refused."""
    step_size = np.array([0.2, 0.7], np.float32)
    state, acceptance = moved(exact_draws(), step_size, 3)
    first, second = acceptance.mean(0)
    assert first > 0.9 and 0.2 < second < 0.7, (first, second)
    assert deviations(state.z).max() < 4.5  # of 24: by chance once in 6,000


@pytest.mark.slow
def test_it_is_reached_from_elsewhere() -> None:
    start = np.full((CHAINS, 2, DIM), 2, np.float32)
    # Ten steps are nowhere near half of an oscillation, at which a mean just flips.
    step_size = np.array([0.15, 0.16], np.float32)
    assert deviations(moved(start, step_size, 1)[0].z).max() > 20
    assert deviations(moved(start, step_size, 20)[0].z).max() < 4.5


def test_a_point_knows_its_densities_and_slopes() -> None:
    state, _ = moved(exact_draws()[:5], np.array([0.2, 0.55], np.float32), 1)
    fresh = hmc.init(JOINT, state.z)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        state,
        fresh,
    )
    slope = jax.grad(
        lambda z: (JOINT.log_prior(z) + 0.5 * JOINT.log_likelihood(z)).sum()
    )
    np.testing.assert_allclose(fresh.grad(0.5), slope(state.z), rtol=1e-4, atol=1e-4)


def test_a_trajectory_that_overflows_is_refused() -> None:
    z = exact_draws()[:5]
    state, acceptance = moved(z, np.array([1e30, 1e30], np.float32), 1)
    np.testing.assert_array_equal(state.z, z)
    np.testing.assert_array_equal(acceptance, 0)

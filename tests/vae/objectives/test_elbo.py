import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import linear_gaussian as exact
from vae.fields import fields_of
from vae.objectives import elbo, schedules
from vae.objectives.base import Moment, make_penalized

BATCH = exact.batch(8)
PARAMS = {"model": exact.params(0.3), "objective": {}}
KEY = jax.random.key(0)
INFERENCE, TERMS, _ = exact.inferred(8, posterior_shift=0.3)
RATE = TERMS.rate.mean()


def at(step: int) -> Moment:
    return Moment(jnp.int32(step), KEY)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "penalty",
    [elbo.elbo, elbo.beta_vae, elbo.capacity, elbo.free_bits_per_dimension],
)
def test_an_objective_adds_its_penalty_to_the_distortion(penalty) -> None:
    objective = make_penalized(exact.MODEL, penalty)
    numbers = {name: p.default for name, p in fields_of(penalty).items()}
    numbers.pop("annealing", None)
    if penalty is elbo.capacity:
        numbers["gamma"] = 100.0
    traced = {name: jnp.float32(value) for name, value in numbers.items()}
    loss, metrics = jax.jit(objective.loss)(PARAMS, BATCH, KEY, traced, jnp.int32(3))
    added, own = penalty(INFERENCE, TERMS, at(3), **numbers)
    np.testing.assert_allclose(loss, metrics["distortion_nats"] + added, rtol=1e-6)
    bound = -(metrics["distortion_nats"] + metrics["rate_nats"])
    np.testing.assert_allclose(metrics["elbo_nats"], bound, rtol=1e-6)
    assert own.keys() <= metrics.keys()


def test_beta_weighs_the_rate() -> None:
    np.testing.assert_allclose(elbo.elbo(INFERENCE, TERMS, at(0))[0], RATE)
    for beta in (0.0, 1.0, 4.0):
        got, _ = elbo.beta_vae(INFERENCE, TERMS, at(0), beta=beta)
        np.testing.assert_allclose(got, beta * RATE, rtol=1e-6)


ANNEALED = {"annealing": schedules.linear, "annealing_steps": 10.0}


def test_annealing_scales_beta_by_the_step() -> None:
    for step, weight in ((0, 0.0), (5, 1.0), (10, 2.0), (99, 2.0)):
        got, _ = elbo.beta_vae(INFERENCE, TERMS, at(step), beta=2, **ANNEALED)
        np.testing.assert_allclose(got, weight * RATE, rtol=1e-6)


def test_capacity_holds_the_rate_at_c() -> None:
    for step, target in ((0, 0.0), (5, 10.0), (50, 20.0)):
        got, metrics = elbo.capacity(
            INFERENCE, TERMS, at(step), gamma=3, capacity=20, **ANNEALED
        )
        np.testing.assert_allclose(got, 3 * abs(RATE - target), rtol=1e-6)
        assert metrics["capacity_nats"] == target


@pytest.mark.parametrize(
    ("penalty", "floors"),
    [(elbo.free_bits_per_dimension, 2), (elbo.free_bits_per_group, 1)],
)
def test_free_bits_are_a_floor_below_which_the_rate_costs_nothing(
    penalty, floors: int
) -> None:
    got, _ = penalty(INFERENCE, TERMS, at(0), free_nats=0.0)
    np.testing.assert_allclose(got, RATE, rtol=1e-6)
    got, _ = penalty(INFERENCE, TERMS, at(0), free_nats=100.0)
    np.testing.assert_allclose(got, 100.0 * floors)

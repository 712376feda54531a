import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
)

from tests.helpers import linear_gaussian as exact
from vae import rng
from vae.fields import fields_of
from vae.objectives import elbo, schedules
from vae.objectives.base import (
    Moment,
    elbo_terms,
    infer,
    kl_per_dimension,
    make_penalized,
)
from vae.types import Batch, LatentGroup


def test_closed_form_kl_agrees_with_sampling() -> None:
    mean, scale = jnp.array([0.5, -1.0, 0.0]), jnp.array([0.3, 1.5, 1.0])
    posterior = Independent(Normal(mean, scale), 1)
    prior = Independent(Normal(jnp.zeros(3), jnp.ones(3)), 1)
    group = LatentGroup(mean, mean, posterior, prior, jnp.ones(3, bool))
    closed = -jnp.log(scale) + (scale**2 + mean**2 - 1) / 2  # Kingma & Welling, app. B
    np.testing.assert_allclose(kl_per_dimension(group), closed, rtol=1e-6)
    z = posterior.sample(jax.random.key(0), (1_000_000,))
    ratios = posterior.log_prob(z) - prior.log_prob(z)
    np.testing.assert_allclose(ratios.mean(), closed.sum(), atol=5 * ratios.std() / 1e3)


def test_terms_have_the_shapes_of_the_contract() -> None:
    x = exact.images(5)
    keys = rng.per_example(jax.random.key(0), jnp.arange(5))
    terms = exact.terms(exact.params(), x, keys, 3)
    assert terms.rate_per_group.shape == (1, 3, 5)
    assert {terms.distortion.shape, terms.rate.shape, terms.log_weights.shape} == {
        (3, 5)
    }
    np.testing.assert_allclose(terms.rate_per_group.sum(0), terms.rate)


BATCH = Batch(jnp.asarray(exact.images(8)), None, jnp.arange(8))
PARAMS = {"model": exact.params(0.3), "objective": {}}
KEY = jax.random.key(0)
INFERENCE, TERMS = infer(exact.MODEL, PARAMS, {}, BATCH, KEY, num_samples=1)
RATE = TERMS.rate.mean()


def at(step: int) -> Moment:
    return Moment(jnp.int32(step), KEY)


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


def test_a_rate_without_closed_form_is_sampled() -> None:
    keys = rng.per_sample(
        rng.per_example(jax.random.key(0), jnp.arange(8)), jnp.arange(3)
    )
    variables = {"params": PARAMS["model"]}
    posterior = exact.MODEL.apply(variables, BATCH.image, method="encode")
    inference = exact.MODEL.apply(variables, posterior, keys, method="infer")
    (group,) = inference.groups
    mixture = MixtureSameFamily(  # of one component: the prior, without closed form
        Categorical(jnp.ones(1)), Independent(Normal(jnp.zeros((1, 2)), 1.0), 1)
    )
    inference = inference._replace(groups=(group._replace(prior=mixture),))
    terms = elbo_terms(inference, BATCH.image)
    expected = group.log_q - group.prior.log_prob(group.z)
    np.testing.assert_allclose(terms.rate, expected, rtol=1e-5)
    np.testing.assert_allclose(
        terms.log_weights, -(terms.distortion + terms.rate), rtol=1e-5
    )


def test_the_elbo_of_the_exact_posterior_is_log_p() -> None:
    x = exact.images(500)
    keys = rng.per_example(jax.random.key(0), jnp.arange(500))
    terms = exact.terms(exact.params(), x, keys, 200)
    elbos = -(terms.distortion + terms.rate)  # [K, B]; only distortion is sampled
    error = np.asarray(elbos).std(0).mean() / np.sqrt(elbos.size)
    expected = exact.log_prob(x).mean()
    np.testing.assert_allclose(elbos.mean(), expected, atol=5 * error)

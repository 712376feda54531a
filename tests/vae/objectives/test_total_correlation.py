import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.helpers import linear_gaussian as exact
from vae.distributions.padded import PaddedNormal
from vae.objectives import elbo, total_correlation
from vae.objectives.base import make_penalized
from vae.objectives.total_correlation import (
    Discriminator,
    discriminator_loss,
    factor_vae,
    make_factor_vae,
    minibatch_stratified,
    minibatch_weighted,
    permute_dimensions,
)
from vae.types import Batch

CORRELATION = np.array([[1.0, 0.8], [0.8, 1.0]])
TRUTH = -np.log(np.linalg.det(CORRELATION)) / 2  # .51 nats
BATCH = Batch(jnp.asarray(exact.images(8)), None, jnp.arange(8))
KEY = jax.random.key(0)


def draw(count: int, covariance: np.ndarray, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.multivariate_normal(np.zeros(2), covariance, count).astype("f4")


def aggregate(count: int) -> tuple[PaddedNormal, np.ndarray]:
    """Posteriors of variance .2 whose aggregate is N(0, CORRELATION), and a code of
    each."""
    means = draw(count, CORRELATION - 0.2 * np.eye(2), 0)
    normal = PaddedNormal(means, jnp.full_like(means, 0.2**0.5), jnp.ones(2, bool))
    return normal, means + draw(count, 0.2 * np.eye(2), 1)


@pytest.mark.slow
def test_both_estimators_know_the_total_correlation_of_a_gaussian() -> None:
    normal, z = aggregate(2000)
    got = {
        estimator: total_correlation.total_correlation(normal, z, estimator, 2000)
        for estimator in (minibatch_weighted, minibatch_stratified)
    }
    # The log ratio of joint and marginals has a standard deviation of 1 over z.
    tolerance = 4 / np.sqrt(2000)
    np.testing.assert_allclose(got[minibatch_stratified], TRUTH, atol=tolerance)
    # With all data in the batch every weighted density is low by log N.
    weighted = got[minibatch_weighted] - np.log(2000)
    np.testing.assert_allclose(weighted, got[minibatch_stratified], rtol=1e-3)


def test_the_stratified_density_is_unbiased() -> None:
    """Over all minibatches of 3 that hold example 0, out of 6 examples."""
    densities = np.random.default_rng(0).normal(size=6)  # log q(z_0 | x_j)
    estimates = []
    for others in itertools.combinations(range(1, 6), 2):
        chosen = densities[[0, *others]]
        estimates.append(minibatch_stratified(jnp.tile(chosen, (3, 1)), 6)[0])
    np.testing.assert_allclose(
        np.exp(estimates).mean(), np.exp(densities).mean(), rtol=1e-5
    )


@pytest.mark.slow
def test_a_trained_discriminator_knows_the_total_correlation() -> None:
    discriminator = Discriminator((64, 64))
    data = jnp.asarray(draw(40_000, CORRELATION, 2))
    params = discriminator.init(KEY, data[:1])
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, 1500))

    def loss(params, key):
        batch = jax.random.choice(key, data, (512,))
        permuted = permute_dimensions(jax.random.fold_in(key, 1), batch)
        logits = [discriminator.apply(params, codes) for codes in (batch, permuted)]
        return discriminator_loss(*logits)

    def step(carry, key):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params, key), state)
        return (optax.apply_updates(params, updates), state), None

    keys = jax.random.split(KEY, 1500)
    start = (params, optimizer.init(params))
    (params, _), _ = jax.jit(lambda start: jax.lax.scan(step, start, keys))(start)
    logits = discriminator.apply(params, draw(40_000, CORRELATION, 3))
    # Training leaves a tenth; the mean of fresh logits has an error of 1 / 200.
    np.testing.assert_allclose(logits.mean(), TRUTH, atol=0.05 + 4 / 200)


def gradients(objective, hparams: dict[str, float]):
    params = {"model": exact.params(0.3), "objective": objective.init(KEY, BATCH)}
    traced = {name: jnp.float32(value) for name, value in hparams.items()}
    grad = jax.jit(jax.grad(objective.loss, has_aux=True))
    return grad(params, BATCH, KEY, traced, 0)


ELBO = make_penalized(exact.MODEL, elbo.elbo)


def assert_close(left, right) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), left, right)


def test_beta_tcvae_with_beta_one_is_the_vae() -> None:
    penalty = functools.partial(total_correlation.beta_tcvae, dataset_size=100)
    got, _ = gradients(make_penalized(exact.MODEL, penalty), {"beta": 1.0})
    assert_close(got["model"], gradients(ELBO, {})[0]["model"])


@pytest.mark.slow
def test_each_player_of_factor_vae_sees_its_own_loss() -> None:
    objective = make_factor_vae(
        exact.MODEL, factor_vae, code_dim=2, discriminator_widths=(5,)
    )
    without, _ = gradients(objective, {"tc_weight": 0.0})
    strong, metrics = gradients(objective, {"tc_weight": 50.0})
    # Without weight the model does not see the discriminator ...
    assert_close(without["model"], gradients(ELBO, {})[0]["model"])
    # ... and the discriminator never sees the weight.
    assert_close(without["objective"], strong["objective"])
    assert any(leaf.any() for leaf in jax.tree.leaves(strong["objective"]))
    difference = strong["model"]["posterior"]["mean"]["kernel"]
    difference -= without["model"]["posterior"]["mean"]["kernel"]
    assert abs(difference).max() > 1e-3
    elbo_nats = metrics["elbo_nats"]
    expected = -elbo_nats + 50 * metrics["total_correlation_estimate_nats"]
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)

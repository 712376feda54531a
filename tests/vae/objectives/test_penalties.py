"""Moments, discrepancies, constraints; and what couples examples, on many devices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import linear_gaussian as exact
from vae.objectives import constrained, discrepancy, elbo, moments, schedules
from vae.objectives import total_correlation as tc
from vae.objectives.base import Moment, infer, make_penalized
from vae.objectives.discrepancy import maximum_mean_discrepancy
from vae.types import Batch, Objective

BATCH = Batch(jnp.asarray(exact.images(16)), None, jnp.arange(16))
KEY = jax.random.key(0)
PARAMS = {"model": exact.params(0.3), "objective": {}}
INFERENCE, TERMS = infer(exact.MODEL, PARAMS, {}, BATCH, KEY, num_samples=1)
MOMENT = Moment(jnp.int32(5), KEY)
HPARAMS = {
    **{"beta": 3.0, "annealing_steps": 10.0, "gamma": 2.0, "capacity": 1.0},
    **{"free_nats": 0.4, "lambda_od": 5.0, "lambda_d": 7.0, "tc_weight": 4.0},
    **{"alpha": 0.5, "mmd_weight": 10.0, "distortion_target": 1.0},
}


def value_and_grad(objective: Objective, hparams: dict[str, float], params=None):
    traced = {name: jnp.asarray(value) for name, value in hparams.items()}
    loss = jax.jit(jax.value_and_grad(objective.loss, has_aux=True))
    return loss(params or PARAMS, BATCH, KEY, traced, jnp.int32(5))


@pytest.mark.parametrize("of_codes", [False, True])
def test_dip_asks_for_an_identity_covariance(of_codes: bool) -> None:
    (group,) = INFERENCE.groups
    covariance = np.cov(group.posterior.mean.T, ddof=0)
    if of_codes:
        covariance += np.diag(group.posterior.variance.mean(0))
    expected = 7 * ((np.diag(covariance) - 1) ** 2).sum() + 5 * (
        2 * covariance[0, 1] ** 2
    )
    got, _ = moments.dip_vae(
        INFERENCE, TERMS, MOMENT, of_codes=of_codes, lambda_od=5.0, lambda_d=7.0
    )
    np.testing.assert_allclose(got - TERMS.rate.mean(), expected, rtol=1e-4)


def test_mmd_of_two_gaussians() -> None:
    """In two dimensions k = exp(-d^2 / 2), so E k = exp(-2 m^2 / 6) / 3 at distance m
    in both."""
    random = np.random.default_rng(0)
    estimates = [
        maximum_mean_discrepancy(
            random.normal(size=(200, 2)).astype("f4"),
            random.normal(shift, size=(200, 2)).astype("f4"),
            discrepancy.rbf,
            2,
        )
        for shift in (0.0, 1.0)
        for _ in range(100)
    ]
    for got, shift in zip(np.reshape(estimates, (2, 100)), (0, 1), strict=True):
        expected = 2 / 3 * (1 - np.exp(-(shift**2) / 3))
        np.testing.assert_allclose(got.mean(), expected, atol=5 * got.std() / 10)


def test_the_inverse_multiquadratic_kernel() -> None:
    distances = jnp.array([0.0, 3.0])
    scales = np.array([0.1, 0.2, 0.5, 1, 2, 5, 10])
    expected = [7, (8 * scales / (8 * scales + 3)).sum()]  # C = 2 D s with D = 4
    got = discrepancy.inverse_multiquadratic(distances, 4)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_info_vae_meets_the_vae_and_wae() -> None:
    info = partial(discrepancy.info_vae, INFERENCE, TERMS, MOMENT)
    got, _ = info(alpha=0.0, mmd_weight=1.0)
    np.testing.assert_allclose(got, TERMS.rate.mean(), rtol=1e-6)
    expected, _ = discrepancy.wae_mmd(INFERENCE, TERMS, MOMENT, mmd_weight=10.0)
    got, _ = info(alpha=1.0, mmd_weight=10.0)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_geco_raises_its_multiplier_while_the_constraint_is_broken() -> None:
    objective = constrained.make_geco(exact.MODEL, constrained.geco)
    params = {
        "model": exact.params(0.3),
        "objective": {
            "log_multiplier": jnp.log(2.0),
            "average_excess": jnp.float32(0.7),
        },
    }
    (loss, metrics), grads = value_and_grad(objective, HPARAMS, params)
    excess = metrics["distortion_nats"] - 1
    np.testing.assert_allclose(loss, metrics["rate_nats"] + 2 * excess, rtol=1e-6)
    np.testing.assert_allclose(grads["objective"]["log_multiplier"], -0.7)
    np.testing.assert_allclose(
        grads["objective"]["average_excess"], 0.7 - excess, rtol=1e-5
    )
    # The model sees beta = 1 / 2, times the multiplier.
    vae = make_penalized(exact.MODEL, elbo.beta_vae)
    _, expected = value_and_grad(vae, {"beta": 0.5, "annealing_steps": 1.0})
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, 2 * b, rtol=1e-4, atol=1e-5),
        grads["model"],
        expected["model"],
    )


def penalized(penalty):
    return partial(make_penalized, exact.MODEL, penalty, num_samples=2)


COUPLED = {
    "capacity": penalized(partial(elbo.capacity, annealing=schedules.linear)),
    "free_bits": penalized(elbo.free_bits_per_dimension),
    "free_bits_per_group": penalized(elbo.free_bits_per_group),
    "beta_tcvae": penalized(
        partial(tc.beta_tcvae, estimator=tc.minibatch_stratified, dataset_size=100)
    ),
    "dip_vae": penalized(partial(moments.dip_vae, of_codes=True)),
    "info_vae": penalized(partial(discrepancy.info_vae, kernel=discrepancy.rbf)),
    "factor_vae": partial(
        *(tc.make_factor_vae, exact.MODEL, tc.factor_vae),
        code_dim=2,
        discriminator_widths=(5,),
    ),
    "geco": lambda axis_name: constrained.make_geco(exact.MODEL, constrained.geco),
}


@pytest.mark.parametrize("name", COUPLED)
def test_gradients_do_not_depend_on_the_number_of_devices(name: str) -> None:
    whole, shared = (COUPLED[name](axis_name=axis) for axis in (None, "batch"))
    params = {"model": exact.params(0.3), "objective": whole.init(KEY, BATCH)}
    hparams = {name: jnp.asarray(value) for name, value in HPARAMS.items()}

    def grads_of(objective: Objective, batch: Batch):
        loss = jax.jit(jax.grad(objective.loss, has_aux=True))
        return loss(params, batch, KEY, hparams, jnp.int32(5))

    def on_device(batch: Batch):
        return jax.lax.pmean(grads_of(shared, batch), "batch")

    parts = jax.tree.map(lambda leaf: np.reshape(leaf, (4, 4, *leaf.shape[1:])), BATCH)
    got = jax.pmap(on_device, "batch", out_axes=None)(parts)
    jax.tree.map(
        # Rounding of sums in another order; an objective of its own part is off by .1.
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        got,
        grads_of(whole, BATCH),
    )

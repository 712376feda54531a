"""Terms of the bound, and objectives of examples that are spread over devices."""

from functools import partial

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
from vae.objectives import constrained, discrepancy, elbo, moments, schedules
from vae.objectives import total_correlation as tc
from vae.objectives.base import elbo_terms, kl_per_dimension, make_penalized
from vae.types import Batch, LatentGroup, Objective

BATCH, KEY = exact.batch(16), jax.random.key(0)
HPARAMS = {
    **{"beta": 3.0, "annealing_steps": 10.0, "gamma": 2.0, "capacity": 1.0},
    **{"free_nats": 0.4, "lambda_od": 5.0, "lambda_d": 7.0, "tc_weight": 4.0},
    **{"alpha": 0.5, "mmd_weight": 10.0, "distortion_target": 1.0},
}


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_rate_without_closed_form_is_sampled() -> None:
    keys = rng.per_sample(
        rng.per_example(jax.random.key(0), BATCH.position), jnp.arange(3)
    )
    variables = {"params": exact.params(0.3)}
    posterior = exact.MODEL.apply(variables, BATCH.x, method="encode")
    inference = exact.MODEL.apply(variables, posterior, keys, method="infer")
    (group,) = inference.groups
    mixture = MixtureSameFamily(  # of one component: the prior, without closed form
        Categorical(jnp.ones(1)), Independent(Normal(jnp.zeros((1, 2)), 1.0), 1)
    )
    inference = inference._replace(groups=(group._replace(prior=mixture),))
    terms = elbo_terms(inference, BATCH.x)
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


@pytest.mark.sampled(1)
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

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Independent, Normal

from tests.vae import linear_gaussian as exact
from vae import rng
from vae.objectives.elbo import elbo_terms, kl_per_dimension, make_beta_vae
from vae.types import Batch


def test_closed_form_kl_agrees_with_sampling() -> None:
    mean, scale = jnp.array([0.5, -1.0, 0.0]), jnp.array([0.3, 1.5, 1.0])
    posterior = Independent(Normal(mean, scale), 1)
    prior = Independent(Normal(jnp.zeros(3), jnp.ones(3)), 1)
    closed = -jnp.log(scale) + (scale**2 + mean**2 - 1) / 2  # Kingma & Welling, app. B
    np.testing.assert_allclose(kl_per_dimension(posterior, prior), closed, rtol=1e-6)
    z = posterior.sample(jax.random.key(0), (1_000_000,))
    ratios = posterior.log_prob(z) - prior.log_prob(z)
    np.testing.assert_allclose(ratios.mean(), closed.sum(), atol=5 * ratios.std() / 1e3)


def test_terms_have_the_shapes_of_the_contract() -> None:
    x = exact.images(5)
    keys = rng.per_example(jax.random.key(0), jnp.arange(5))
    inference = exact.MODEL.apply({"params": exact.params()}, x, keys, num_samples=3)
    terms = elbo_terms(inference, x)
    assert terms.rate_per_group.shape == (1, 3, 5)
    assert {terms.distortion.shape, terms.rate.shape, terms.log_weights.shape} == {
        (3, 5)
    }
    np.testing.assert_allclose(terms.rate_per_group.sum(0), terms.rate)


def test_beta_weighs_the_rate_and_nothing_else() -> None:
    objective = make_beta_vae(exact.MODEL)
    batch = Batch(jnp.asarray(exact.images(8)), None, jnp.arange(8))
    params = {"model": exact.params(0.3), "objective": {}}
    for beta in (0.0, 1.0, 4.0):
        hparams = {"beta": jnp.float32(beta)}
        loss, metrics = objective.loss(params, batch, jax.random.key(0), hparams, 0)
        expected = metrics["distortion_nats"] + beta * metrics["rate_nats"]
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        elbo = -(metrics["distortion_nats"] + metrics["rate_nats"])
        np.testing.assert_allclose(metrics["elbo_nats"], elbo, rtol=1e-6)


def test_the_elbo_of_the_exact_posterior_is_log_p() -> None:
    x = exact.images(500)
    keys = rng.per_example(jax.random.key(0), jnp.arange(500))
    inference = exact.MODEL.apply({"params": exact.params()}, x, keys, num_samples=200)
    terms = elbo_terms(inference, x)
    elbos = -(terms.distortion + terms.rate)  # [K, B]; only distortion is sampled
    error = np.asarray(elbos).std(0).mean() / np.sqrt(elbos.size)
    expected = exact.log_prob(x).mean()
    np.testing.assert_allclose(elbos.mean(), expected, atol=5 * error)

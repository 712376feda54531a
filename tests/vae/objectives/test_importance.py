import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from tests.helpers import linear_gaussian as exact
from vae import rng
from vae.objectives import elbo, importance, schedules
from vae.types import Batch

BATCH = Batch(jnp.asarray(exact.images(200)), None, jnp.arange(200))
PARAMS = {"model": exact.params(0.3, 1.2), "objective": {}}
KEY = jax.random.key(0)


def loss_of(bound: importance.Bound, num_samples: int, **hparams: float) -> float:
    make = importance.make_importance_weighted
    objective = make(exact.MODEL, bound, num_samples=num_samples)
    traced = {name: jnp.float32(value) for name, value in hparams.items()}
    return float(jax.jit(objective.loss)(PARAMS, BATCH, KEY, traced, 0)[0])


def log_weights(num_samples: int) -> jax.Array:
    keys = rng.per_example(KEY, BATCH.position)
    terms = exact.terms(PARAMS["model"], BATCH.image, keys, num_samples)
    return terms.log_weights


def test_one_sample_is_the_sampled_elbo() -> None:
    expected = -log_weights(1).mean()
    np.testing.assert_allclose(loss_of(importance.iwae, 1), expected, rtol=1e-6)


@pytest.mark.parametrize("num_samples", [1, 4, 32])
def test_at_the_exact_posterior_every_bound_is_log_p(num_samples: int) -> None:
    objective = importance.make_importance_weighted(
        exact.MODEL, importance.iwae, num_samples=num_samples
    )
    params = {"model": exact.params(), "objective": {}}
    loss, _ = jax.jit(objective.loss)(params, BATCH, KEY, {}, 0)
    expected = -exact.log_prob(exact.images(200)).mean()
    np.testing.assert_allclose(loss, expected, atol=2e-5)


def test_miwae_lies_between_the_elbo_and_iwae_and_meets_both() -> None:
    losses = [loss_of(importance.miwae(bounds), 12) for bounds in (1, 3, 12)]
    np.testing.assert_allclose(losses[0], loss_of(importance.iwae, 12), rtol=1e-6)
    np.testing.assert_allclose(losses[2], -log_weights(12).mean(), rtol=1e-6)
    # Jensen's inequality holds for the very same weights, not in the mean only.
    assert losses[0] < losses[1] < losses[2]


def gradients(objective, key: jax.Array, params=PARAMS) -> dict[str, jax.Array]:
    """The gradients by the encoder's and the decoder's parameters, flat."""
    grad = jax.jit(jax.grad(objective.loss, has_aux=True))
    grads, _ = grad(params, BATCH, key, {}, 0)
    parts = ("posterior", "decoder")
    return {p: ravel_pytree(grads["model"][p])[0] for p in parts}


def bounded(bound: importance.Bound, num_samples: int):
    make = importance.make_importance_weighted
    return make(exact.MODEL, bound, num_samples=num_samples)


def test_piwae_trains_the_decoder_by_iwae_and_the_encoder_by_miwae() -> None:
    piwae = importance.make_two_sided(
        exact.MODEL, importance.iwae, importance.miwae(4), num_samples=12
    )
    got = gradients(piwae, KEY)
    iwae = gradients(bounded(importance.iwae, 12), KEY)
    miwae = gradients(bounded(importance.miwae(4), 12), KEY)
    np.testing.assert_allclose(got["decoder"], iwae["decoder"], atol=1e-5)
    np.testing.assert_allclose(got["posterior"], miwae["posterior"], atol=1e-5)
    assert not np.allclose(got["posterior"], iwae["posterior"], atol=1e-3)


def test_dreg_has_the_gradient_of_iwae_with_less_variance() -> None:
    dreg = importance.make_two_sided(
        exact.MODEL, importance.iwae, importance.dreg, num_samples=8
    )
    keys = jax.random.split(KEY, 400)
    iwae = bounded(importance.iwae, 8)
    draws = {
        name: jax.jit(jax.vmap(lambda key, o=o: gradients(o, key)))(keys)
        for name, o in (("dreg", dreg), ("iwae", iwae))
    }
    # The same keys draw the same samples, and the decoder's estimator is the same.
    decoders = [draws[name]["decoder"] for name in ("dreg", "iwae")]
    np.testing.assert_allclose(*decoders, atol=1e-4)
    one, other = (draws[name]["posterior"] for name in ("dreg", "iwae"))
    error = (one - other).std(0) / np.sqrt(len(keys))
    assert (abs((one - other).mean(0)) < 5 * error + 1e-6).all()
    assert one.var(0).sum() < 0.5 * other.var(0).sum()


def test_sticking_the_landing_stands_still_at_the_exact_posterior() -> None:
    params = {"model": exact.params(), "objective": {}}
    landing = bounded(importance.sticking_the_landing, 4)
    got = gradients(landing, KEY, params)["posterior"]
    np.testing.assert_allclose(got, 0, atol=1e-4)  # rounding of sums over pixels
    # Away from it, the decoder's gradient is that of the same bound, one sample each.
    got, plain = (
        gradients(landing, KEY),
        gradients(bounded(importance.miwae(4), 4), KEY),
    )
    np.testing.assert_allclose(got["decoder"], plain["decoder"], atol=1e-5)


def test_at_the_exact_posterior_dreg_leaves_the_encoder_alone() -> None:
    params = {"model": exact.params(), "objective": {}}
    dreg = importance.make_two_sided(
        exact.MODEL, importance.iwae, importance.dreg, num_samples=8
    )
    got = gradients(dreg, KEY, params)["posterior"]
    plain = gradients(bounded(importance.iwae, 8), KEY, params)["posterior"]
    np.testing.assert_allclose(got, 0, atol=1e-4)  # rounding of sums over pixels
    assert abs(plain).max() > 1e-2


def test_ciwae_mixes_the_elbo_and_iwae() -> None:
    bound, iwae = importance.ciwae, loss_of(importance.iwae, 8)
    ends = [loss_of(bound, 8, elbo_share=share) for share in (0.0, 1.0)]
    np.testing.assert_allclose(ends[0], iwae, rtol=1e-6)
    vae = elbo.make_penalized(
        exact.MODEL, elbo.beta_vae(schedules.constant), num_samples=8
    )
    hparams = {"beta": jnp.float32(1), "growth_steps": jnp.float32(1)}
    expected = jax.jit(vae.loss)(PARAMS, BATCH, KEY, hparams, 0)[0]
    np.testing.assert_allclose(ends[1], expected, rtol=1e-6)
    middle = loss_of(bound, 8, elbo_share=0.25)
    np.testing.assert_allclose(middle, 0.25 * ends[1] + 0.75 * ends[0], rtol=1e-6)

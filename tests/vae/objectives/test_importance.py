import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from tests.helpers import linear_gaussian as exact
from vae import rng
from vae.objectives import importance
from vae.types import Batch, Unsupported

BATCH = Batch(jnp.asarray(exact.images(200)), None, jnp.arange(200))
PARAMS = {"model": exact.params(0.3, 1.2), "objective": {}}
KEY = jax.random.key(0)


def terms(num_samples: int) -> Any:
    keys = rng.per_example(KEY, BATCH.position)
    return exact.terms(PARAMS["model"], BATCH.x, keys, num_samples)


def miwae(num_bounds: int) -> importance.Bound:
    return functools.partial(importance.miwae, num_bounds=num_bounds)


def test_one_sample_is_the_sampled_elbo() -> None:
    expected = terms(1).log_weights.mean()
    got = importance.iwae(None, terms(1))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("num_samples", [1, 4, 32])
def test_at_the_exact_posterior_every_bound_is_log_p(num_samples: int) -> None:
    objective = importance.make_importance_weighted(
        exact.MODEL, importance.iwae, num_samples=num_samples
    )
    params = {"model": exact.params(), "objective": {}}
    loss, _ = jax.jit(objective.loss)(params, BATCH, KEY, {}, 0)
    expected = -exact.log_prob(exact.images(200)).mean()
    np.testing.assert_allclose(loss, expected, atol=2e-5)


@pytest.mark.slow
def test_miwae_lies_between_the_elbo_and_iwae_and_meets_both() -> None:
    drawn = terms(12)
    bounds = [importance.miwae(None, drawn, num_bounds=n) for n in (1, 3, 12)]
    np.testing.assert_allclose(bounds[0], importance.iwae(None, drawn), rtol=1e-6)
    np.testing.assert_allclose(bounds[2], drawn.log_weights.mean(), rtol=1e-6)
    # Jensen's inequality holds for the very same weights, not in the mean only.
    assert bounds[0] > bounds[1] > bounds[2]
    with pytest.raises(Unsupported, match="12 samples among 5"):
        importance.miwae(None, drawn, num_bounds=5)


def test_the_renyi_bound_falls_with_alpha_from_iwae_to_the_elbo() -> None:
    drawn = terms(12)
    alphas = (-1.0, 0.0, 0.5, 0.9, 1.0, 2.0)
    bounds = [importance.renyi(None, drawn, alpha=alpha) for alpha in alphas]
    assert all(np.diff(bounds) < 0)  # eq. 4, for the very same weights
    np.testing.assert_allclose(bounds[1], importance.iwae(None, drawn), rtol=1e-6)
    np.testing.assert_allclose(bounds[4], drawn.log_weights.mean(), rtol=1e-6)
    near = importance.renyi(None, drawn, alpha=1 - 1e-3)
    np.testing.assert_allclose(near, bounds[4], rtol=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_at_the_exact_posterior_every_renyi_bound_is_log_p(alpha: float) -> None:
    objective = importance.make_importance_weighted(
        exact.MODEL, importance.renyi, num_samples=4
    )
    params, hparams = {"model": exact.params(), "objective": {}}, {"alpha": alpha}
    loss, _ = jax.jit(objective.loss)(params, BATCH, KEY, hparams, 0)
    expected = -exact.log_prob(exact.images(200)).mean()
    np.testing.assert_allclose(loss, expected, atol=5e-5)


def gradients(objective, key: jax.Array, params=PARAMS) -> dict[str, jax.Array]:
    """The gradients by the encoder's and the decoder's parameters, flat."""
    grad = jax.jit(jax.grad(objective.loss, has_aux=True))
    grads, _ = grad(params, BATCH, key, {}, 0)
    parts = ("posterior", "decoder")
    return {p: ravel_pytree(grads["model"][p])[0] for p in parts}


def bounded(bound: importance.Bound, num_samples: int):
    make = importance.make_importance_weighted
    return make(exact.MODEL, bound, num_samples=num_samples)


@pytest.mark.slow
def test_piwae_trains_the_decoder_by_iwae_and_the_encoder_by_miwae() -> None:
    piwae = importance.make_two_sided(
        exact.MODEL, importance.iwae, miwae(4), num_samples=12
    )
    got = gradients(piwae, KEY)
    generative = gradients(bounded(importance.iwae, 12), KEY)
    inferential = gradients(bounded(miwae(4), 12), KEY)
    np.testing.assert_allclose(got["decoder"], generative["decoder"], atol=1e-5)
    np.testing.assert_allclose(got["posterior"], inferential["posterior"], atol=1e-5)
    assert not np.allclose(got["posterior"], generative["posterior"], atol=1e-3)


@pytest.mark.slow
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
        gradients(bounded(miwae(4), 4), KEY),
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
    drawn = terms(8)
    ends = [
        -(drawn.distortion + drawn.rate).mean(),
        importance.iwae(None, drawn),
    ]
    for share in (0.0, 0.25, 1.0):
        got = importance.ciwae(None, drawn, elbo_share=share)
        expected = share * ends[0] + (1 - share) * ends[1]
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    objective = bounded(importance.ciwae, 8)
    loss, _ = jax.jit(objective.loss)(PARAMS, BATCH, KEY, {"elbo_share": 1.0}, 0)
    np.testing.assert_allclose(loss, -ends[0], rtol=1e-6)

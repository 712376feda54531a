"""Against the exact conditional distributions of a linear model."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from tests.helpers import linear_gaussian as exact
from vae import rng
from vae.data.preprocess import make_preprocess
from vae.evaluation.bounds import make_importance_bound
from vae.evaluation.impute import make_impute
from vae.models import priors
from vae.types import Unsupported

MODEL = exact.MODEL.clone(observed_only=True)
COUNT, SAMPLES = 12, 20_000


def params() -> dict:
    """Those of the linear model, with the prior for q(z | x): its weights are bounded,
    whatever is missing."""
    given = exact.params()
    for layer in given["posterior"].values():
        layer["kernel"], layer["bias"] = jnp.zeros((8, 2)), jnp.zeros(2)
    return {"params": given}


def incomplete() -> np.ndarray:
    """Images [12, 2, 2, 1] of the model, half of whose values are missing; of two all
    and none are."""
    x = exact.images(COUNT)
    is_missing = np.random.default_rng(2).random(x.shape) < 0.5
    is_missing[0], is_missing[1] = True, False
    return np.where(is_missing, np.nan, x)


def conditional(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns mean [4] and covariance [4, 4] of p(x | observed), and log p(observed),
    for a flat image: Bishop 2006, eq. 2.81 and 2.82."""
    covariance = exact.WEIGHTS @ exact.WEIGHTS.T + exact.SCALE**2 * np.eye(4)
    seen = ~np.isnan(x)
    inner = covariance[np.ix_(seen, seen)]
    gain = covariance[:, seen] @ np.linalg.inv(inner)
    mean = gain @ x[seen]
    rest = covariance - gain @ covariance[seen]
    normal = x[seen] @ np.linalg.solve(inner, x[seen]) + seen.sum() * np.log(2 * np.pi)
    return mean, rest, -0.5 * (normal + np.linalg.slogdet(inner)[1])


def keys() -> jax.Array:
    return rng.per_example(rng.stream(0, "test"), jnp.arange(COUNT))


@pytest.mark.slow
def test_moments_are_those_of_the_conditional_gaussian() -> None:
    x = incomplete()
    found = jax.jit(make_impute(MODEL, SAMPLES, 400))(params(), x, None, keys())
    flat = x.reshape(COUNT, 4)
    for i, (mean, std, draws) in enumerate(
        zip(
            np.reshape(found.mean, (COUNT, 4)),
            np.reshape(found.std, (COUNT, 4)),
            np.reshape(found.draws, (-1, COUNT, 4)).swapaxes(0, 1),
            strict=True,
        )
    ):
        is_missing = np.isnan(flat[i])
        of_rest, covariance, _ = conditional(flat[i])
        spread = np.sqrt(np.maximum(np.diag(covariance), 0))
        error = 5 * spread / np.sqrt(found.effective_sample_size[i])
        assert (np.abs(mean - of_rest)[is_missing] < error[is_missing]).all()
        assert (np.abs(std - spread)[is_missing] < error[is_missing]).all()
        np.testing.assert_array_equal(mean[~is_missing], flat[i][~is_missing])
        assert (std[~is_missing] == 0).all()
        # The draws have the covariance of the missing values, not their variances only.
        distance = np.cov(draws.T) - np.where(
            np.outer(is_missing, is_missing), covariance, 0
        )
        assert (np.abs(distance) < 6 * covariance.max() / np.sqrt(400)).all()


def test_imputations_do_not_depend_on_the_batch() -> None:
    x, impute = incomplete(), jax.jit(make_impute(MODEL, 50, 6))
    whole = impute(params(), x, None, keys())
    part = impute(params(), x[4:], None, keys()[4:])
    np.testing.assert_allclose(part.draws, whole.draws[:, 4:], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(part.mean, whole.mean[4:], rtol=1e-5, atol=1e-5)


def test_the_bound_is_that_of_the_observed_values() -> None:
    x = incomplete()
    bound = jax.jit(make_importance_bound(MODEL, SAMPLES))
    found = bound(params(), x, None, keys())
    expected = [conditional(each)[2] for each in x.reshape(COUNT, 4)]
    error = np.sqrt(1 / found.effective_sample_size)  # about that of log L_K
    assert (np.abs(found.log_likelihood - np.array(expected)) < 5 * error).all()
    np.testing.assert_allclose(found.distortion[0], 0, atol=1e-6)  # nothing observed


@pytest.mark.slow
def test_what_is_missing_has_no_gradient() -> None:
    x, variables = incomplete(), params()
    bound = make_importance_bound(MODEL, 3)

    def loss(variables: dict, x: np.ndarray) -> jax.Array:
        return bound(variables, x, None, keys()).log_likelihood.sum()

    def decoder_gradient(x: np.ndarray) -> np.ndarray:
        gradient: Any = jax.grad(loss)(variables, x)
        return np.asarray(gradient["params"]["decoder"]["output"]["bias"])

    assert np.isfinite(decoder_gradient(x)).all()
    x[:, 0, 1] = np.nan
    found = decoder_gradient(x)
    assert found[1] == 0 and (found[[0, 2, 3]] != 0).all()


def test_a_fitted_model_imputes_in_the_units_of_the_data() -> None:
    """Two columns that are multiples of each other, in units of their own."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 1)) * [1, 100, 1e-3] + [0, 50, 1]
    x = np.where(random.random(x.shape) < 0.2, np.nan, x)
    model = vae.VAE(
        encoder=vae.MLPEncoder(widths=(32,)),
        posterior=vae.DiagonalGaussian(latent_dim=1),
        prior=vae.StandardNormal(latent_dim=1),
        decoder=vae.MLPDecoder(widths=(32,), event_shape=(3,)),
        likelihood=vae.GaussianShared(),
        observed_only=True,
    )
    fitted = vae.fit(model, vae.objective("elbo"), x, steps=1500, scale="standardize")
    asked = np.array([[1, np.nan, np.nan], [np.nan, -50, np.nan], [-1, 7, 1]])
    found = fitted.impute(asked, 500, 20)
    np.testing.assert_allclose(found.mean[0, 1:], [150, 1.001], rtol=0.2)
    np.testing.assert_allclose(found.mean[1, ::2], [-1, 0.999], atol=0.3)
    np.testing.assert_array_equal(found.mean[2], np.float32(asked[2]))
    assert found.draws.shape == (20, 3, 3)
    assert 0 < found.std[0, 1] < 50 and found.std[0, 0] == 0
    whole = model.clone(observed_only=False)
    other = vae.FittedVAE(
        whole,
        {},
        event_shape=(3,),
        dtype=np.float32,
        preprocess=make_preprocess("none", jnp.float32),
    )
    with pytest.raises(ValueError, match="takes no missing values"):
        other.impute(asked)
    with pytest.raises(vae.UserError, match="density over finite real"):
        vae.fit(whole, vae.objective("elbo"), x, steps=1)


def test_parts_that_need_every_value_refuse() -> None:
    vamp = priors.vamp(
        posterior=MODEL.posterior, encoder=MODEL.encoder, examples=exact.images
    )
    with pytest.raises(Unsupported, match="encodes examples that have no missing"):
        MODEL.clone(prior=vamp)
    with pytest.raises(Unsupported, match="needs every value of an example"):
        MODEL.clone(likelihood=vae.GaussianOptimal())

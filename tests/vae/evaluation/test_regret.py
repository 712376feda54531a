import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.helpers import linear_gaussian as exact
from tests.helpers.trained import linear
from vae import rng
from vae.evaluation import anomaly, regret
from vae.evaluation.regret import make_likelihood_regret
from vae.models import priors
from vae.models.likelihoods import Bernoulli
from vae.models.posteriors import DiagonalGaussian
from vae.models.priors import StandardNormal
from vae.models.vae import VAE
from vae.nn.decoders import MLPDecoder
from vae.nn.encoders import MLPEncoder
from vae.nn.layers import BatchNorm
from vae.types import Unsupported


def regret_of(params, x: np.ndarray, num_samples: int = 64) -> np.ndarray:
    keys = rng.per_example(rng.stream(0, "test"), jnp.arange(len(x)))
    compute = jax.jit(make_likelihood_regret(exact.MODEL, num_samples))
    return np.asarray(compute({"params": params}, x, None, keys))


def test_the_exact_posterior_has_nothing_to_gain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its bound is log p(x), by whichever samples; tuning can only lose, and by noise
    of the gradient that a small rate leaves small."""
    monkeypatch.setattr(regret, "LEARNING_RATE", 1e-5)
    got = regret_of(exact.params(), exact.images(16))
    np.testing.assert_allclose(got, 0, atol=1e-3)


def test_a_prior_that_moves_with_the_encoder_is_refused() -> None:
    vamp = priors.vamp(
        posterior=exact.MODEL.posterior,
        encoder=exact.MODEL.encoder,
        examples=exact.images,
    )
    model = exact.MODEL.clone(prior=vamp)
    with pytest.raises(Unsupported, match="regret needs a prior"):
        make_likelihood_regret(model, 3)
    subject = linear(4, {}, 1).subject
    assert anomaly.applies(subject, regret_images=5) is None
    of_vamp = subject._replace(model=model)
    assert "anomalies.regret_images=0" in (
        anomaly.applies(of_vamp, regret_images=5) or ""
    )
    assert anomaly.applies(of_vamp, regret_images=0) is None


def test_moving_averages_are_not_tuned() -> None:
    """A variance near zero would become negative within a few steps."""
    model = VAE(
        encoder=MLPEncoder((8,), nn.relu, normalization=BatchNorm),
        posterior=DiagonalGaussian(2),
        prior=StandardNormal(2),
        decoder=MLPDecoder((2, 3, 1), (8,)),
        likelihood=Bernoulli(),
    )
    x = np.random.default_rng(0).random((4, 2, 3, 1)).astype(np.float32)
    keys = rng.per_example(rng.stream(0, "test"), jnp.arange(4))
    params = model.init(jax.random.key(0), x, keys)["params"]
    norm = params["encoder"]["mlp"]["dense_0_norm"]
    norm["average_variance"] = jnp.full(8, 1e-4)
    found = jax.jit(make_likelihood_regret(model, 8))({"params": params}, x, None, keys)
    assert np.isfinite(found).all()


@pytest.mark.slow
def test_a_shifted_posterior_regrets_its_divergence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With many steps it becomes the exact one, up to noise of Adam's last steps, and
    the bound log p(x): for each image, of which far ones are no exception."""
    monkeypatch.setattr(regret, "LEARNING_RATE", 1e-2)
    monkeypatch.setattr(regret, "STEPS", 400)
    x = exact.images(8) * np.linspace(1, 3, 8, dtype=np.float32)[:, None, None, None]
    keys = rng.per_example(rng.stream(0, "test"), jnp.arange(8))
    params = exact.params(posterior_shift=1.0)
    before = make_importance_bound_of(params, x, keys)
    got = regret_of(params, x)
    np.testing.assert_allclose(before + got, exact.log_prob(x), atol=0.1)


def make_importance_bound_of(params, x: np.ndarray, keys: jax.Array) -> np.ndarray:
    bound = regret.make_importance_bound(exact.MODEL, 64)
    return np.asarray(bound({"params": params}, x, None, keys).log_likelihood)


@pytest.mark.slow
def test_an_image_is_tuned_by_itself() -> None:
    params, x = exact.params(0.3, 1.2), exact.images(6)
    whole = regret_of(params, x)
    np.testing.assert_allclose(regret_of(params, x[:2]), whole[:2], atol=1e-5)

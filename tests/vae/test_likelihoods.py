import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae.likelihoods import Bernoulli, Gaussian


@pytest.mark.parametrize("logit", [-200.0, -104.0, 0.0, 104.0, 200.0])
@pytest.mark.parametrize("pixel", [0.0, 1.0])
def test_bernoulli_is_finite_at_large_logits(logit: float, pixel: float) -> None:
    x = jnp.full((1, 1, 1), pixel)

    def log_prob(logits):
        return Bernoulli()(logits).log_prob(x)

    value, grad = jax.value_and_grad(log_prob)(jnp.full((1, 1, 1), logit))
    # log p = -softplus(-+logit), d/dlogit = x - sigmoid(logit), in float64
    expected = -np.logaddexp(0, -logit if pixel else logit)
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(grad.item(), pixel - 1 / (1 + np.exp(-logit)), atol=1e-6)


def test_bernoulli_sums_to_one() -> None:
    logits = jax.random.normal(jax.random.key(0), (2, 2, 1)) * 3
    images = jnp.array(list(itertools.product((0.0, 1.0), repeat=4)))
    log_probs = Bernoulli()(logits).log_prob(images.reshape(16, 2, 2, 1))
    np.testing.assert_allclose(jnp.exp(log_probs).sum(), 1, rtol=1e-5)


def test_gaussian_integrates_to_one() -> None:
    grid = np.linspace(-3, 4, 2001)
    density = Gaussian(0.3)(jnp.full((1, 1, 1), 0.4)).log_prob(
        grid.reshape(-1, 1, 1, 1)
    )
    np.testing.assert_allclose(np.trapezoid(np.exp(density), grid), 1, rtol=1e-5)


def test_pixels_are_summed_and_shaped_as_images() -> None:
    features = jax.random.normal(jax.random.key(0), (5, 2, 4, 3, 2))
    likelihood = Gaussian(1.0)(features)
    assert likelihood.batch_shape == (5, 2)
    assert likelihood.event_shape == (4, 3, 2)
    np.testing.assert_array_equal(likelihood.mean, features)
    x = jnp.ones((2, 4, 3, 2))  # broadcasts over samples
    expected = -((x - features) ** 2 + np.log(2 * np.pi)).sum((-1, -2, -3)) / 2
    np.testing.assert_allclose(likelihood.log_prob(x), expected, rtol=1e-5)
    draws = likelihood.sample(jax.random.key(1), (1000,))
    assert draws.shape == (1000, 5, 2, 4, 3, 2)
    # mean of 1000 unit normals: 5 standard errors
    np.testing.assert_allclose(draws.mean(0), features, atol=5 / np.sqrt(1000))


@pytest.mark.parametrize(
    ("likelihood", "pixels", "expected"),
    [
        (Bernoulli(), [0.0, 1.0], True),
        (Bernoulli(), [0.0, 0.5], False),
        (Gaussian(1.0), [-7.0, 0.5], True),
        (Gaussian(1.0), [np.nan], False),
    ],
)
def test_support(likelihood, pixels: list[float], expected: bool) -> None:
    assert likelihood.supports(np.array(pixels)) is expected


def test_features_of_mean_invert_the_mean() -> None:
    mean = np.array([[[0.0, 0.25, 1.0]]])
    for likelihood in (Bernoulli(), Gaussian(1.0)):
        features = jnp.asarray(likelihood.features_of_mean(mean))
        np.testing.assert_allclose(likelihood(features).mean, mean, atol=1.1e-3)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from vae.distributions.pixels import (
    ByteLogistic,
    PixelDistribution,
    StableBernoulli,
    centers_of_mean,
    clipped_logistic_mean,
    log_mean_exp,
    logits_of_mean,
    sum_of_bernoulli_log_probs,
)


def test_images_are_independent_pixels() -> None:
    """Whatever the batch: [2] images of 2x3 pixels with 2 channels."""
    random = np.random.default_rng(0)
    logits = jnp.asarray(random.normal(size=(2, 2, 3, 2)), jnp.float32)
    x = jnp.asarray(random.integers(0, 2, (5, 2, 2, 3, 2)), jnp.float32)
    images = PixelDistribution(StableBernoulli(logits.reshape(2, -1)), (2, 3, 2))
    assert (images.batch_shape, images.event_shape) == ((2,), (2, 3, 2))
    expected = StableBernoulli(logits).log_prob(x).sum((-1, -2, -3))
    np.testing.assert_allclose(images.log_prob(x), expected, rtol=1e-5)
    np.testing.assert_allclose(images.mean, expit(logits), rtol=1e-6)


def test_log_mean_exp_and_its_slope_on_both_sides_of_its_series() -> None:
    """Against quadrature in float64: exact for what is nearly a polynomial."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    x, weights = (nodes + 1) / 2, weights / 2
    t = np.float32([-30, -1, -0.26, -0.24, -1e-3, 0, 1e-8, 0.1, 0.2499, 0.2501, 3, 30])
    powers = np.exp(t[:, None].astype(float) * x)
    constants = powers @ weights
    got, slope = jax.vmap(jax.value_and_grad(log_mean_exp))(t)
    np.testing.assert_allclose(got, np.log(constants), rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(slope, powers @ (weights * x) / constants, rtol=2e-6)


@pytest.mark.parametrize(("loc", "scale"), [(0.5, 0.1), (-0.3, 0.2), (1.4, 0.01)])
def test_mean_of_a_clipped_logistic(loc: float, scale: float) -> None:
    """It is the integral of 1 - CDF over [0, 1], by the trapezoid rule."""
    x = np.linspace(0, 1, 100_001)
    expected = np.trapezoid(expit((loc - x) / scale), x)
    got = clipped_logistic_mean(jnp.float32(loc), jnp.float32(scale))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_masses_of_a_logistic_follow_its_distribution_function() -> None:
    edges = np.array([-np.inf, *(np.arange(255) + 0.5) / 255, np.inf])
    expected = np.diff(expit((edges - 0.3) / 0.05))
    logistic = ByteLogistic(jnp.float32(0.3), jnp.log(jnp.float32(0.05)))
    got = np.exp(logistic.log_prob(jnp.arange(256) / 255))
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    np.testing.assert_allclose(got.sum(), 1, rtol=1e-6)


def test_means_are_inverted() -> None:
    mean = np.array([0.1, 0.5, 0.8])
    logits = logits_of_mean(mean, 50.0)
    slopes = jax.vmap(jax.grad(log_mean_exp))(jnp.asarray(logits))
    np.testing.assert_allclose(slopes, mean, atol=1e-4)
    offsets = np.array([-0.1, 0.0, 0.1])
    locs = centers_of_mean(mean, offsets, 0.05) + offsets
    means = clipped_logistic_mean(jnp.asarray(locs), jnp.float32(0.05)).mean(-1)
    np.testing.assert_allclose(means, mean, atol=1e-4)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("size", [1, 8, 29])
def test_bernoulli_pixels_together_are_their_sum(size: int) -> None:
    keys = jax.random.split(jax.random.key(0))
    logits = 30 * jax.random.normal(keys[0], (3, 2, size))
    x = jax.random.bernoulli(keys[1], 0.5, (2, size)).astype(jnp.float32)

    def together(logits: jax.Array) -> jax.Array:
        return sum_of_bernoulli_log_probs(logits, x)

    def one_by_one(logits: jax.Array) -> jax.Array:
        return StableBernoulli(logits).log_prob(x).sum(-1)

    # A factor 1 + exp(-|logit|) is rounded to within 6e-8, for at most 29 pixels.
    np.testing.assert_allclose(together(logits), one_by_one(logits), 1e-6, 2e-6)
    for f in (together, one_by_one):
        gradient = jax.grad(lambda t, f=f: f(t).sum())(logits)
        expected = jnp.broadcast_to(x, logits.shape) - expit(logits)
        np.testing.assert_allclose(gradient, expected, 1e-5, 1e-6)

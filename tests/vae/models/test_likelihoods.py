from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, log_softmax, logsumexp

from vae.models.likelihoods import (
    LOG_SCALE_BOUNDS,
    MIN_VARIANCE,
    Bernoulli,
    Categorical256,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    GaussianOptimal,
    GaussianPerPixel,
    GaussianShared,
    MixtureOfDiscretizedLogistics,
)

# With the tolerance of `features_of_mean` at means 0, 0.25 and 1: the bound on means
# (a logistic's is what enters [0, 1] from five scales away), for bytes half a level.
MENU = {
    Bernoulli(): 1.1e-3,
    ContinuousBernoulli(): 1.1e-2,
    Gaussian(0.3): 0,
    GaussianShared(): 0,
    GaussianOptimal(): 0,
    GaussianPerPixel(): 0,
    DiscretizedLogistic(): 1.1e-3,
    MixtureOfDiscretizedLogistics(): 2e-3,
    Categorical256(): 1e-2 + 1 / 510,
}
LEVELS = np.arange(256) / 255
every_likelihood = pytest.mark.parametrize("module", MENU)


def likelihood_of(module: Any, features: Any) -> Any:
    return module.init_with_output(
        jax.random.key(0), jnp.asarray(features), event_dim=3
    )[0]


def one_pixel(*features: float | np.ndarray) -> jax.Array:
    flat = np.concatenate([np.atleast_1d(f) for f in features])
    return jnp.asarray(flat, jnp.float32).reshape(1, 1, -1)


def log_probs(module: Any, features: jax.Array, pixels: np.ndarray) -> np.ndarray:
    """Log-densities of many values of one pixel."""
    images = jnp.asarray(pixels, features.dtype).reshape(-1, 1, 1, 1)
    score = jax.jit(lambda f, x: likelihood_of(module, f).log_prob(x))
    return np.asarray(score(features, images))


def logistic_log_masses(loc: float, raw_log_scale: float) -> np.ndarray:
    """Of the 256 levels, in float64, each difference taken in the smaller tail."""
    low, high = LOG_SCALE_BOUNDS
    above = low + np.logaddexp(0, raw_log_scale - low)
    scale = np.exp(high - np.logaddexp(0, high - above))
    edges = np.array([-np.inf, *(np.arange(255) + 0.5) / 255, np.inf])
    lower, upper = (edges[:-1] - loc) / scale, (edges[1:] - loc) / scale
    flip = lower > 0
    lower, upper = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    return np.log(expit(upper) - expit(lower))


MIXTURE = np.random.default_rng(0).normal(size=(3, 10))
LOGITS = np.random.default_rng(1).normal(size=256)
DISCRETE = [
    *((Bernoulli(), [logit]) for logit in (-200, -1, 0, 30)),
    # inside, on an edge and far outside; scales down to none and up to too much
    *((DiscretizedLogistic(), pair) for pair in [(0.5, -2), (0.3, -40), (0.5, -6.5)]),
    *((DiscretizedLogistic(), pair) for pair in [(-3, -4), (1e4, 1), (0.2, 90)]),
    (MixtureOfDiscretizedLogistics(), MIXTURE),
    (MixtureOfDiscretizedLogistics(), MIXTURE * [[100], [1], [30]]),
    (Categorical256(), [LOGITS]),
    (Categorical256(), [LOGITS * 1e3]),
]


@pytest.mark.parametrize(("module", "features"), DISCRETE)
def test_masses_sum_to_one(module, features) -> None:
    pixels = np.array([0, 1]) if isinstance(module, Bernoulli) else LEVELS
    masses = np.exp(log_probs(module, one_pixel(*features), pixels))
    np.testing.assert_allclose(masses.sum(), 1, rtol=1e-5)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("logit", [-300, -100, -0.25, -1e-4, 0, 1e-20, 0.2, 3, 100])
def test_continuous_bernoulli_integrates_to_one_with_its_mean(logit: float) -> None:
    # Gauss-Legendre is exact for polynomials of degree 299, which the density is nearly
    nodes, weights = np.polynomial.legendre.leggauss(150)
    pixels = (nodes + 1) / 2
    features = one_pixel(logit)
    density = np.exp(log_probs(ContinuousBernoulli(), features, pixels)) * weights / 2
    error = 1e-6 * max(abs(logit), 1)  # rounding of the exponent's largest term
    np.testing.assert_allclose(density.sum(), 1, rtol=error)
    mean = jax.jit(lambda f: ContinuousBernoulli()(f, event_dim=3).mean)(
        features
    ).item()
    np.testing.assert_allclose(mean, density @ pixels, rtol=error)
    grad = jax.jit(
        jax.grad(
            lambda f: ContinuousBernoulli()(f, event_dim=3).log_prob(jnp.ones_like(f))
        )
    )
    np.testing.assert_allclose(grad(features).item(), 1 - density @ pixels, atol=error)


GAUSSIAN = [
    (Gaussian(0.3), [0.4], 0.3),
    (GaussianOptimal(), [0.4], 1),
    (GaussianPerPixel(), [0.4, -2], np.exp(-1)),
    (GaussianPerPixel(), [0.4, -50], MIN_VARIANCE**0.5),
]


@pytest.mark.parametrize(("module", "features", "scale"), GAUSSIAN)
def test_gaussians_integrate_to_one(module, features, scale: float) -> None:
    # eight deviations either way; the trapezoid rule is exact for a Gaussian at h < 1
    pixels = np.float32(0.4) + scale * np.linspace(-8, 8, 101)
    density = np.exp(log_probs(module, one_pixel(*features), pixels))
    np.testing.assert_allclose(density.sum() * scale * 0.16, 1, rtol=1e-4)
    # float32 holds 0.4 to 3e-8, so eight deviations to 8 * 3e-5 of the smallest scale
    expected = stats.norm(np.float32(0.4), scale).pdf(pixels)
    np.testing.assert_allclose(density, expected, rtol=3e-3)


def test_log_masses_agree_with_float64() -> None:
    for loc, log_scale in [(0.5, -2), (0.31, -4), (0.7, -7), (-0.2, 0), (1.1, -3)]:
        got = log_probs(DiscretizedLogistic(), one_pixel(loc, log_scale), LEVELS)
        expected = logistic_log_masses(np.float32(loc), log_scale)
        far = expected < -700  # where exp(-700) has no digits left
        np.testing.assert_allclose(got[~far], expected[~far], rtol=1e-4, atol=1e-4)
    got = log_probs(MixtureOfDiscretizedLogistics(), one_pixel(*MIXTURE), LEVELS)
    parts = [logistic_log_masses(*pair) for pair in zip(*MIXTURE[1:], strict=True)]
    expected = logsumexp(log_softmax(MIXTURE[0])[:, None] + parts, 0)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    got = log_probs(Categorical256(), one_pixel(LOGITS), LEVELS)
    np.testing.assert_allclose(got, log_softmax(LOGITS), rtol=1e-5)


@pytest.mark.parametrize("pixel", [0.0, 1.0])
def test_bernoulli_is_exact_at_large_logits(pixel: float) -> None:
    logits = np.array([-200.0, -104.0, 0.0, 104.0, 200.0])
    x = jnp.full((5, 1, 1), pixel)
    grad = jax.grad(lambda f: Bernoulli()(f, event_dim=3).log_prob(x))(
        one_pixel(logits).T
    )
    np.testing.assert_allclose(grad.ravel(), pixel - expit(logits), atol=1e-6)
    expected = -np.logaddexp(0, -logits if pixel else logits)  # in float64
    got = [log_probs(Bernoulli(), one_pixel(f), x[0]).item() for f in logits]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-30)


@pytest.mark.sampled(4)
@every_likelihood
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_finite_with_finite_gradients_at_extreme_features(module, size: float) -> None:
    random = np.random.default_rng(0)
    signs = random.choice([-1.0, 0.0, 1.0], (500, 1, 1, module.features_per_channel))
    features = jnp.asarray(size * signs, jnp.float32)
    pixels = jnp.asarray(random.choice([0.0, 0.2, 1.0], (500, 1, 1, 1)), jnp.float32)

    def total(features):
        likelihood = likelihood_of(module, features)
        return likelihood.log_prob(pixels).sum() + likelihood.mean.sum()

    value, grad = jax.jit(jax.value_and_grad(total))(features)
    assert np.isfinite(value) and np.isfinite(grad).all()


@pytest.mark.sampled(1)
@every_likelihood
def test_images_are_shaped_summed_and_sampled(module) -> None:
    number = module.features_per_channel
    shape, key = (2, 4, 1, 2, 3 * number), jax.random.key(0)
    features = jax.random.normal(key, shape, jnp.bfloat16)
    score = jax.jit(lambda f, x: likelihood_of(module, f).log_prob(x))
    likelihood = jax.jit(lambda f: likelihood_of(module, f))(features)
    assert (likelihood.batch_shape, likelihood.event_shape) == ((2, 4), (1, 2, 3))
    draws = jax.jit(lambda p: p.sample(key, (500,)))(likelihood)
    assert draws.shape == (500, 2, 4, 1, 2, 3) and module.supports(np.asarray(draws))
    # five standard errors, and the half level by which logistics' means may be off
    error = 5 * draws.std(0) / np.sqrt(500) + 1 / 510
    assert (np.abs(draws.mean(0) - likelihood.mean) < error).all()
    x = draws[0, 0].astype(jnp.float32)  # [B, H, W, C] broadcasts over samples
    got = score(features, x)
    assert got.dtype == likelihood.mean.dtype == jnp.float32
    with jax.enable_x64():  # every value of a channel alone, in float64
        alone = jnp.asarray(features, jnp.float64).reshape(2, 4, 1, 2, 3, 1, 1, number)
        log_prob = score(alone, x.astype(jnp.float64)[..., None, None, None])
    assert log_prob.dtype == np.float64
    np.testing.assert_allclose(got, np.asarray(log_prob).sum((2, 3, 4)), rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(score)(features[0], x), got[0], rtol=1e-6)


@pytest.mark.sampled(3)
@every_likelihood
def test_features_of_mean_invert_the_mean(module) -> None:
    mean = np.array([[[0.0, 0.25, 1.0]]])
    features = jax.jit(lambda: jnp.asarray(module.features_of_mean(mean)))()  # traced
    error = np.abs(likelihood_of(module, features).mean - mean)
    assert error.max() < MENU[module] + 1e-6


@every_likelihood
def test_support(module) -> None:
    binary, unit, level, real, nan = [0, 1], [0, 0.5], [3 / 255, 1], [-7, 300], [np.nan]
    accepted = {
        "pixels that are": (binary,),
        "pixels in [0, 1": (binary, unit, level),
        "pixels k / 255,": (binary, level),
        "finite real pix": (binary, unit, level, real),
    }[module.support[:15]]
    for pixels in (binary, unit, level, real, nan):
        assert module.supports(np.float32(pixels)) is (pixels in accepted)
    assert module.is_binary() == (accepted == (binary,))


def error_and_params(module: Any) -> tuple[jax.Array, jax.Array, Any, float]:
    features = jax.random.normal(jax.random.key(0), (3, 4, 2, 2, 1))
    x = jax.random.normal(jax.random.key(1), (4, 2, 2, 1))
    params = module.init(jax.random.key(0), features, event_dim=3)
    return features, x, params, ((x - features) ** 2).mean().item()


@pytest.mark.slow
def test_shared_scale_is_best_at_the_mean_squared_error() -> None:
    module = GaussianShared()
    features, x, params, error = error_and_params(module)

    def score(variance: float) -> float:
        log_scale = jax.tree.map(lambda p: p + np.log(variance) / 2, params)
        grad = jax.grad(
            lambda p: module.apply(p, features, event_dim=3).log_prob(x).mean()
        )
        return grad(log_scale)["params"]["log_scale"].item()

    # d/ds of D (-s - error exp(-2 s) / 2), D = 4 pixels, is zero at error = exp(2 s)
    np.testing.assert_allclose(score(error), 0, atol=4e-6)
    np.testing.assert_allclose(score(error / 2), 4, rtol=1e-5)


def test_tracking_moves_the_optimal_variance_to_the_mean_squared_error() -> None:
    module = GaussianOptimal()
    features, x, params, error = error_and_params(module)

    def loss(params, features):
        likelihood = module.apply(params, features, event_dim=3)
        return module.apply(params, likelihood, x, None, method="ema_loss")

    values_and_grads = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    for _ in range(2000):  # the start is forgotten as 0.99^2000 = 2e-9
        value, (grad, to_features) = values_and_grads(params, features)
        params = jax.tree.map(lambda p, g: p - 0.01 * g, params, grad)
    assert value == 0 and not to_features.any()
    # a step is lost to rounding once it is less than half an ulp: 100 * 2^-24
    np.testing.assert_allclose(params["params"]["average_variance"], error, rtol=1e-5)
    nll = -module.apply(params, features, event_dim=3).log_prob(x).mean()
    np.testing.assert_allclose(nll, 2 * (1 + np.log(2 * np.pi * error)), rtol=1e-5)

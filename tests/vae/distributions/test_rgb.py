import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp

from vae.distributions.pixels import ByteLogistic, ByteLogisticMixture
from vae.distributions.rgb import RGBLogisticMixture, RGBParameters

COMPONENTS, PIXELS = 3, 4
LEVELS = jnp.arange(256) / 255


@pytest.fixture(scope="module")
def mixture() -> RGBLogisticMixture:
    """Of images of 2x2 pixels, two of them."""
    keys = jax.random.split(jax.random.key(0), 4)
    shape = (2, 3, COMPONENTS, PIXELS)
    return RGBLogisticMixture(
        RGBParameters(
            logits=jax.random.normal(keys[0], (2, COMPONENTS, PIXELS)),
            loc=jax.random.uniform(keys[1], shape, minval=0.2, maxval=0.8),
            log_scale=jax.random.uniform(keys[2], shape, minval=-4.0, maxval=-2.0),
            coefficients=jnp.tanh(jax.random.normal(keys[3], shape)),
        ),
        (2, 2),
    )


def of_one_pixel(mixture: RGBLogisticMixture) -> RGBLogisticMixture:
    """The first pixel of the first image."""
    own = jax.tree.map(lambda array: array[0, ..., :1], mixture.parameters)
    return RGBLogisticMixture(own, (1, 1))


def log_masses(pixel: RGBLogisticMixture, *channels: jax.Array) -> jax.Array:
    """Of red, green and blue, which broadcast."""
    values = jnp.stack(jnp.broadcast_arrays(*channels), -1)
    return pixel.log_prob(values[..., None, None, :])


def test_blue_sums_to_the_mass_of_red_and_green(
    mixture: RGBLogisticMixture,
) -> None:
    """That mass in float64, of pixels in [-1, 1] as in the paper."""
    pixel = of_one_pixel(mixture)
    logits, loc, log_scale, coefficients = (
        np.asarray(array, np.float64)[..., 0] for array in pixel.parameters
    )
    red, green = np.array([0, 100, 255]) / 255, np.array([255, 120, 0]) / 255
    log_weights = logits - logsumexp(logits)
    total = 0.0
    moved = 2 * loc[1] - 1 + coefficients[0] * (2 * red[:, None] - 1)
    for x, mean, scale in (
        (red, 2 * loc[0] - 1, 2 * np.exp(log_scale[0])),
        (green, moved, 2 * np.exp(log_scale[1])),
    ):
        level = 2 * x[:, None] - 1
        upper = np.where(level > 0.999, np.inf, (level + 1 / 255 - mean) / scale)
        lower = np.where(level < -0.999, -np.inf, (level - 1 / 255 - mean) / scale)
        total = total + np.log(expit(upper) - expit(lower))
    expected = np.exp(log_weights + total).sum(-1)
    each = log_masses(
        pixel, jnp.asarray(red)[:, None], jnp.asarray(green)[:, None], LEVELS
    )
    found = np.exp(np.asarray(each, np.float64)).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_green_and_blue_sum_to_the_mass_of_red(mixture: RGBLogisticMixture) -> None:
    """And so all masses sum to one: those of red are a mixture's."""
    pixel = of_one_pixel(mixture)
    own = pixel.parameters
    red = ByteLogisticMixture(own.logits, ByteLogistic(own.loc[0], own.log_scale[0]))
    for level in (jnp.zeros(1), jnp.full(1, 130 / 255)):
        each = log_masses(pixel, level, LEVELS[:, None], LEVELS)
        found = np.exp(np.asarray(each, np.float64)).sum()
        np.testing.assert_allclose(found, np.exp(red.log_prob(level))[0], rtol=1e-4)
    masses = np.exp(red.log_prob(LEVELS[:, None]))
    np.testing.assert_allclose(masses.sum(), 1, rtol=1e-5)


def test_images_are_sums_over_pixels(mixture: RGBLogisticMixture) -> None:
    """And events broadcast over samples of a distribution."""
    assert (mixture.batch_shape, mixture.event_shape) == ((2,), (2, 2, 3))
    x = jnp.round(jax.random.uniform(jax.random.key(1), (5, 2, 2, 2, 3)) * 255) / 255
    found = mixture.log_prob(x)
    pixel = log_masses(of_one_pixel(mixture), *jnp.moveaxis(x[:, 0, 0, 0], -1, 0))
    others = RGBLogisticMixture(
        jax.tree.map(lambda array: array[0, ..., 1:], mixture.parameters), (1, 3)
    )
    rest = others.log_prob(x[:, 0].reshape(5, 1, 4, 3)[:, :, 1:])
    assert found.shape == (5, 2)
    np.testing.assert_allclose(found[:, 0], pixel + rest, rtol=1e-5)


def test_samples_are_levels_with_the_moments(mixture: RGBLogisticMixture) -> None:
    """Of what lies within [0, 1] the mean is exact, and channels move together."""
    pixel = of_one_pixel(mixture)
    own = pixel.parameters
    inner = own._replace(loc=own.loc / 4 + 0.4, log_scale=jnp.full_like(own.loc, -4))
    pixel = RGBLogisticMixture(inner, (1, 1))
    draws = np.asarray(pixel.sample(jax.random.key(2), (20_000,)))[:, 0, 0]
    assert mixture.sample(jax.random.key(0), (7,)).shape == (7, 2, 2, 2, 3)
    np.testing.assert_allclose(draws * 255, np.round(draws * 255), atol=1e-4)
    error = 5 * draws.std(0) / len(draws) ** 0.5
    assert (np.abs(draws.mean(0) - pixel.mean[0, 0]) < error).all()
    weights = np.exp(inner.logits[:, 0] - logsumexp(inner.logits[:, 0]))
    red, moved = np.asarray(inner.loc)[0, :, 0], np.asarray(inner.coefficients)[0, :, 0]
    green = np.asarray(inner.loc)[1, :, 0] + moved * (red - 0.5)
    variance = np.exp(-8) * np.pi**2 / 3  # of a logistic
    expected = weights @ (moved * variance + red * green)
    expected -= (weights @ red) * (weights @ green)
    found = np.cov(draws[:, 0], draws[:, 1])[0, 1]
    np.testing.assert_allclose(found, expected, atol=6 * variance / len(draws) ** 0.5)


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_extremes_are_finite_with_finite_gradients(size: float) -> None:
    random = np.random.default_rng(0)

    def of(shape: tuple[int, ...]) -> jax.Array:
        return jnp.asarray(size * random.choice([-1.0, 0.0, 1.0], shape), jnp.float32)

    parameters = RGBParameters(
        logits=of((200, COMPONENTS, 1)),
        loc=of((200, 3, COMPONENTS, 1)),
        log_scale=jnp.clip(of((200, 3, COMPONENTS, 1)), -7.7, 2),
        coefficients=jnp.tanh(of((200, 3, COMPONENTS, 1))),
    )
    x = jnp.asarray(random.choice([0.0, 0.2, 1.0], (200, 1, 1, 3)), jnp.float32)

    def total(parameters: RGBParameters) -> jax.Array:
        own = RGBLogisticMixture(parameters, (1, 1))
        return own.log_prob(x).sum() + own.mean.sum()

    value, gradient = jax.jit(jax.value_and_grad(total))(parameters)
    assert np.isfinite(value)
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(leaf).all()

"""Against the enumeration of all codes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import kl_divergence

from tests.vae.nn.test_flows import points, random_variables
from vae.distributions.categorical import (
    AutoregressiveCodes,
    EmbeddedCodes,
    OneHotCodes,
    Quantized,
)
from vae.nn.flows import Autoregressive


def all_codes(positions: int, classes: int) -> jax.Array:
    """Returns [classes^positions, positions * classes]."""
    chosen = np.array([*itertools.product(range(classes), repeat=positions)])
    return jnp.eye(classes)[chosen].reshape(len(chosen), -1)


def autoregressive(positions: int, classes: int) -> AutoregressiveCodes:
    network = Autoregressive(positions, classes, classes, (6, 5))
    blank = jnp.zeros((positions, classes))
    variables = random_variables(network, blank.reshape(-1))
    return AutoregressiveCodes(network, variables, blank)


def gumbel(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(3).gumbel(size=shape), jnp.float32)


@pytest.mark.parametrize("codes", [OneHotCodes(points(2, 3)), autoregressive(2, 3)])
def test_all_codes_sum_to_one(codes) -> None:
    log_prob = codes.log_prob(all_codes(2, 3))
    assert log_prob.std() > 0.1
    np.testing.assert_allclose(jnp.exp(log_prob).sum(), 1, rtol=1e-6)


def test_kl_of_codes_is_the_enumeration() -> None:
    q, p = OneHotCodes(points(4, 2, 3)), OneHotCodes(points(2, 3, seed=2))
    codes = all_codes(2, 3)[:, None]  # [9, 1, 6] beside the batch of 4
    log_q, log_p = q.log_prob(codes), p.log_prob(codes)
    expected = (jnp.exp(log_q) * (log_q - log_p)).sum(0)
    assert expected.shape == (4,)
    np.testing.assert_allclose(kl_divergence(q, p), expected, rtol=1e-5)
    np.testing.assert_allclose(kl_divergence(q, q), np.zeros(4))


def test_samples_are_as_frequent_as_they_are_probable() -> None:
    codes, count, every = autoregressive(2, 2), 20_000, all_codes(2, 2)
    drawn = jax.jit(lambda key: codes.sample(key, (count,)))(jax.random.key(0))
    frequency = (drawn[:, None] == every).all(-1).mean(0)
    probability = jnp.exp(codes.log_prob(every))
    error = jnp.sqrt(probability * (1 - probability) / count)
    assert (jnp.abs(frequency - probability) < 5 * error).all()


def test_relaxed_codes_harden_as_the_temperature_falls() -> None:
    noise = gumbel(50, 4, 2, 3)
    warm, cold = (OneHotCodes(points(4, 2, 3), t) for t in (0.7, 1e-6))
    np.testing.assert_allclose(cold.relax(noise), cold.harden(noise), atol=1e-6)
    relaxed = warm.relax(noise)
    assert (relaxed > 0).all() and relaxed.shape == (50, 4, 6)
    np.testing.assert_allclose(relaxed.reshape(50, 4, 2, 3).sum(-1), 1, rtol=1e-6)
    on_top = warm.harden(noise).reshape(50, 4, 2, 3).argmax(-1)
    np.testing.assert_array_equal(relaxed.reshape(50, 4, 2, 3).argmax(-1), on_top)


@pytest.mark.parametrize(("scale", "temperature"), [(1, 0.5), (200, 0.01)])
def test_gradients_through_relaxed_codes(scale: float, temperature: float) -> None:
    noise = gumbel(100, 2, 3)

    @jax.jit
    @jax.grad
    def slope(logits: jax.Array) -> jax.Array:
        relaxed = OneHotCodes(logits, temperature).relax(noise)
        return (relaxed @ jnp.arange(6.0)).mean()

    gradient = slope(scale * points(2, 3))
    assert jnp.isfinite(gradient).all()
    if scale == 1:
        assert (gradient[:, -1] > 0).all()  # the class of the largest value


ENCODINGS, CODEBOOK = points(5, 2, 3), points(4, 3, seed=2)


def test_quantized_mean_is_nearest_and_its_gradient_passes_through() -> None:
    quantized = Quantized(ENCODINGS, CODEBOOK)
    distances = ((ENCODINGS[..., None, :] - CODEBOOK) ** 2).sum(-1)
    chosen = CODEBOOK[distances.argmin(-1)]
    np.testing.assert_allclose(quantized.mean, chosen.reshape(5, 6), rtol=1e-6)
    z = quantized.sample(None, (7,))
    np.testing.assert_array_equal(z, np.broadcast_to(quantized.mean, (7, 5, 6)))
    assert quantized.log_prob(z).shape == (7, 5)
    weights = points(5, 6, seed=3)
    by_encodings, by_codebook = jax.grad(
        lambda *arrays: (weights * Quantized(*arrays).mean).sum(), (0, 1)
    )(ENCODINGS, CODEBOOK)
    np.testing.assert_allclose(by_encodings, weights.reshape(5, 2, 3))
    np.testing.assert_array_equal(by_codebook, 0 * CODEBOOK)

    commitment = quantized.commitment()
    np.testing.assert_allclose(commitment, distances.min(-1).sum(-1), rtol=1e-5)
    by_encodings, by_codebook = jax.grad(
        lambda *arrays: Quantized(*arrays).commitment().sum(), (0, 1)
    )(ENCODINGS, CODEBOOK)
    np.testing.assert_allclose(by_encodings, 2 * (ENCODINGS - chosen), rtol=1e-5)
    np.testing.assert_array_equal(by_codebook, 0 * CODEBOOK)


def test_embedded_codes_keep_their_probabilities() -> None:
    codes, every = autoregressive(2, 4), all_codes(2, 4)
    embedded = EmbeddedCodes(codes, CODEBOOK)
    vectors = (every.reshape(-1, 2, 4) @ CODEBOOK).reshape(-1, 6)
    assert embedded.event_shape == (6,)
    log_prob = embedded.log_prob(vectors)
    np.testing.assert_array_equal(log_prob, codes.log_prob(every))
    np.testing.assert_allclose(jnp.exp(log_prob).sum(), 1, rtol=1e-6)

    @jax.jit
    def draw(key):
        return embedded.sample(key, (3,)), codes.sample(key, (3,))

    z, drawn = draw(jax.random.key(0))
    np.testing.assert_allclose(z, (drawn.reshape(3, 2, 4) @ CODEBOOK).reshape(3, 6))

"""Counts against scipy in float64, by summation, and in their limits."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, log_softmax, softmax

from vae.distributions.counts import (
    GivenTotal,
    Multinomial,
    NegativeBinomial,
    Poisson,
    ZeroInflated,
)

COUNTS = (0, 1, 2, 7, 8, 50, 1_000, 10**5, 10**7, 2**24)
LOG_MEANS = (-30.0, -10.0, -1.0, 0.0, 2.0, 3.9, 6.9, 11.5, 16.1, 20.0, 30.0)
LOG_RS = (*np.log([1e-8, 1e-4, 0.1, 1, 7, 9, 1e3, 1e5]).tolist(), np.log(1e8))
GRID = np.array(list(itertools.product(COUNTS, LOG_MEANS, LOG_RS)), np.float32)
EVERYWHERE = GRID[:, 0], GRID[:, 1], GRID[:, 2]


def array(*values: Any) -> jax.Array:
    return jnp.asarray(values, jnp.float32)


def made(log_mean: Any, log_r: Any, logits: Any) -> dict[str, Any]:
    counted = NegativeBinomial(log_mean, log_r)
    return {
        "poisson": Poisson(log_mean),
        "negative_binomial": counted,
        "zero_inflated": ZeroInflated(counted, logits),
    }


KINDS = tuple(made(*array(0, 0, 0)))
every_kind = pytest.mark.parametrize("kind", KINDS)


def slow_log_mass(x: np.ndarray, log_mean: np.ndarray, log_r: np.ndarray) -> np.ndarray:
    """Of the negative binomial in float64: its product of ratios as a sum, where the
    difference of log-gammas has too few digits."""
    mean, r = np.exp(log_mean), np.exp(log_r)
    found = -r * np.log1p(mean / r)
    steps = np.arange(int(x.max()))
    rising = np.log((r + steps) / (1 + steps)).sum() if x.max() else 0.0
    return found + rising - x * np.logaddexp(0, log_r - log_mean)


@pytest.mark.parametrize("log_r", LOG_RS)
def test_negative_binomials_agree_with_their_product_of_ratios(log_r: float) -> None:
    chosen = GRID[(GRID[:, 0] <= 10**5) & (GRID[:, 2] == np.float32(log_r))]
    x, log_mean, log_r_ = chosen.T
    expected = [slow_log_mass(*row) for row in chosen[:, :, None].astype(float)]
    got = NegativeBinomial(*array(log_mean, log_r_)).log_prob(x)
    # float32 holds log x to 5e-7: times x = 1e5, off the mean, 5e-5 of the distance
    expected = np.squeeze(expected)
    np.testing.assert_allclose(got, expected, rtol=5e-5, atol=2e-5)


def test_poissons_agree_with_scipy() -> None:
    x, log_mean, _ = EVERYWHERE
    expected = stats.poisson(np.exp(log_mean.astype(float))).logpmf(x)
    got = Poisson(jnp.asarray(log_mean)).log_prob(x)
    np.testing.assert_allclose(got, expected, rtol=5e-5, atol=2e-5)


def test_large_counts_near_their_mean_keep_their_digits() -> None:
    """Where the textbook form is off by whole nats; scipy's beta function is not."""
    x = np.float32(1e7) + 1_000 * np.arange(-5, 6, dtype=np.float32)
    log_mean = np.float32(np.log(1e7))
    mean = np.exp(float(log_mean))
    expected = stats.poisson(mean).logpmf(x)
    np.testing.assert_allclose(
        Poisson(jnp.full(11, log_mean)).log_prob(x), expected, atol=2e-2
    )
    r = float(np.exp(np.float32(9.0)))
    expected = stats.nbinom(r, r / (r + mean)).logpmf(x)
    got = NegativeBinomial(jnp.full(11, log_mean), jnp.float32(9)).log_prob(x)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.sampled(1)
@every_kind
def test_gradients_are_finite_everywhere(kind: str) -> None:
    x, log_mean, log_r = EVERYWHERE

    def log_prob(x: Any, *parameters: Any) -> jax.Array:
        return made(*parameters)[kind].log_prob(x)

    for logits in (-100.0, 0.0, 100.0):
        given = x, log_mean, log_r, np.full_like(x, logits)
        grad = jax.jit(jax.vmap(jax.value_and_grad(log_prob, (1, 2, 3))))
        value, slopes = grad(*given)
        assert np.isfinite(value).all() and all(np.isfinite(s).all() for s in slopes)


@pytest.mark.sampled(1)
@every_kind
def test_gradients_are_those_of_float64(kind: str) -> None:
    """By differences of log masses in float64, at counts of every size."""
    random = np.random.default_rng(0)
    x = np.array([0, 1, 3, 7, 8, 9, 30, 400, 20_000], float)
    point = np.stack([np.log(x + 0.5) + random.normal(size=9), random.normal(size=9)])
    logits, step = random.normal(size=9), 1e-5
    with jax.enable_x64():

        def log_prob(point: Any) -> jax.Array:
            return made(*point, jnp.asarray(logits))[kind].log_prob(x).sum()

        grad = jax.grad(log_prob)(jnp.asarray(point))
        for place in np.ndindex(point.shape):
            moved = [point.copy(), point.copy()]
            moved[0][place] += step
            moved[1][place] -= step
            slope = (log_prob(moved[0]) - log_prob(moved[1])) / (2 * step)
            np.testing.assert_allclose(grad[place], slope, rtol=1e-6, atol=1e-5)


@every_kind
@pytest.mark.parametrize("mean", [1e-3, 0.7, 30.0])
@pytest.mark.parametrize("r", [0.5, 4.0, 1e8])
def test_masses_sum_to_one_with_the_moments(kind: str, mean: float, r: float) -> None:
    x = np.arange(4_000, dtype=np.float32)
    likelihood = made(*array(np.log(mean), np.log(r), -0.4))[kind]
    masses = np.exp(np.asarray(likelihood.log_prob(x), float))
    np.testing.assert_allclose(masses.sum(), 1, rtol=2e-5)
    first = masses @ x
    np.testing.assert_allclose(likelihood.mean, first, rtol=2e-5)
    variance = masses @ (x - first) ** 2
    np.testing.assert_allclose(likelihood.variance, variance, rtol=5e-5)


@pytest.mark.sampled(2)
@every_kind
@pytest.mark.parametrize("r", [0.2, 5.0, 1e8])
def test_draws_have_the_masses(kind: str, r: float) -> None:
    number = 20_000
    likelihood = made(*array(np.log(3.0), np.log(r), -1.0))[kind]
    draws = np.asarray(likelihood.sample(jax.random.key(0), (number,)))
    for x in range(6):
        mass = np.exp(likelihood.log_prob(jnp.float32(x)))
        error = 5 * np.sqrt(mass * (1 - mass) / number)
        assert abs((draws == x).mean() - mass) < error
    error = 5 * np.sqrt(likelihood.variance / number)
    assert abs(draws.mean() - likelihood.mean) < error


@every_kind
@pytest.mark.parametrize("log_mean", [-80.0, 29.0])
@pytest.mark.parametrize("log_r", LOG_RS)
def test_draws_are_counts_at_extremes(kind: str, log_mean: float, log_r: float) -> None:
    likelihood = made(*array(log_mean, log_r, 0))[kind]
    draws = likelihood.sample(jax.random.key(0), (100,))
    assert ((draws >= 0) & (draws == jnp.floor(draws)) & (draws < 2e9)).all()


def test_limits() -> None:
    x, log_mean, _ = EVERYWHERE
    x, log_mean = x[x < 1e4], jnp.asarray(log_mean[x < 1e4])
    near = np.abs(log_mean) < 7  # the distance to Poisson's is about mean^2 / r
    poisson = Poisson(log_mean).log_prob(x)
    counted = NegativeBinomial(log_mean, array(np.log(1e12))[0])
    np.testing.assert_allclose(counted.log_prob(x)[near], poisson[near], rtol=1e-5)
    counted = NegativeBinomial(log_mean, jnp.float32(0))
    inflated = ZeroInflated(counted, jnp.full_like(log_mean, -100))
    np.testing.assert_allclose(inflated.log_prob(x), counted.log_prob(x), rtol=1e-6)
    # r = 1 is geometric
    wide = np.asarray(log_mean, float)
    expected = x * wide - (x + 1) * np.logaddexp(0, wide)
    np.testing.assert_allclose(counted.log_prob(x), expected, rtol=1e-5, atol=1e-5)
    zero = ZeroInflated(counted, jnp.full_like(log_mean, 0.3)).log_prob(0 * x)
    mass = expit(0.3) + expit(-0.3) / (1 + np.exp(log_mean))
    np.testing.assert_allclose(zero, np.log(mass), rtol=1e-5, atol=1e-6)


LOGITS = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)


def test_multinomials_are_poissons_given_their_sum() -> None:
    """log p(x | n) = sum_i log Poisson(x_i | m_i) - log Poisson(n | sum_i m_i)."""
    for size in (0.0, 1.0, 30.0, 1e4):
        x = np.random.default_rng(0).poisson(size, (3, 4)).astype(np.float32)
        means = np.exp(LOGITS.astype(float))
        joint = stats.poisson(means).logpmf(x).sum(-1)
        expected = joint - stats.poisson(means.sum(-1)).logpmf(x.sum(-1))
        got = Multinomial(jnp.asarray(LOGITS), jnp.float32(1)).log_prob(x).sum(-1)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.sampled(1)
def test_multinomial_masses_sum_to_one_for_each_total() -> None:
    counts = np.array([x for x in itertools.product(range(6), repeat=3) if sum(x) == 5])
    logits = array(0.3, -2.0, 1.0)
    terms = Multinomial(logits, jnp.float32(1)).log_prob(counts.astype(np.float32))
    np.testing.assert_allclose(np.exp(terms.sum(-1)).sum(), 1, rtol=1e-5)
    expected = stats.multinomial(5, softmax(np.float64(logits))).logpmf(counts)
    np.testing.assert_allclose(terms.sum(-1), expected, rtol=1e-4)


def test_multinomial_draws_have_the_rounded_total_and_the_moments() -> None:
    likelihood = Multinomial(jnp.asarray(LOGITS), jnp.float32(49.6))
    draws = np.asarray(likelihood.sample(jax.random.key(0), (4_000,)))
    assert draws.shape == (4_000, 3, 4) and (draws.sum(-1) == 50).all()
    shares = softmax(LOGITS, -1)
    np.testing.assert_allclose(likelihood.mean, 49.6 * shares, rtol=1e-5)
    np.testing.assert_allclose(
        likelihood.variance, 49.6 * shares * (1 - shares), rtol=1e-5
    )
    error = 5 * np.sqrt(50 * shares * (1 - shares) / 4_000)
    assert (np.abs(draws.mean(0) - 50 * shares) < error).all()


@pytest.mark.sampled(1)
@every_kind
def test_a_known_total_scales_the_means(kind: str) -> None:
    """The density of counts is that of means total(x) softmax(logits); without counts,
    nothing is left to say."""
    shares = jnp.asarray(log_softmax(LOGITS, -1))
    parameters = jnp.full(4, 0.7), jnp.full((3, 4), -0.3)
    given = GivenTotal(made(shares, *parameters)[kind], jnp.float32(20))
    for factor in (1, 1_000):
        x = factor * np.random.default_rng(1).poisson(5, (3, 4)).astype(np.float32)
        log_means = shares + np.log(x.sum(-1, keepdims=True))
        expected = made(log_means, *parameters)[kind].log_prob(x)
        np.testing.assert_allclose(given.log_prob(x), expected, rtol=1e-6)
    zero = given.log_prob(jnp.zeros((3, 4)))
    np.testing.assert_allclose(zero, 0, atol=1e-6)
    typical = made(shares + np.log(20), *parameters)[kind]
    np.testing.assert_allclose(given.mean, typical.mean, rtol=1e-6)
    np.testing.assert_allclose(given.variance, typical.variance, rtol=1e-6)
    key = jax.random.key(0)
    drawn = given.sample(key, (5,)), typical.sample(key, (5,))
    np.testing.assert_array_equal(*drawn)

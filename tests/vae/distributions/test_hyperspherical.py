"""Against scipy, quadrature, and Monte Carlo with its own standard error."""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import kl_divergence
from scipy import special, stats

from vae import rng
from vae.distributions.hyperspherical import (
    UniformOnSphere,
    VonMisesFisher,
    cosine_statistics,
    log_area,
    sample_von_mises_fisher,
)
from vae.types import Array

DIMS = [2, 3, 40]
DRAWS = 8_000


class Draws(NamedTuple):
    posterior: VonMisesFisher  # batch shape [B]
    tangent: jax.Array  # [B, D], at the mean directions
    z: jax.Array  # [DRAWS, B, D], as its derivatives
    by_log_kappa: jax.Array
    by_mean_direction: jax.Array  # along the tangent


def direction(dim: int, seed: int = 0) -> jax.Array:
    return UniformOnSphere(dim).sample(jax.random.key(seed))


def keys(count: int, batch: int = 1) -> jax.Array:
    examples = rng.per_example(jax.random.key(1), jnp.arange(batch))
    return rng.per_sample(examples, jnp.arange(count))


def within_5_standard_errors(draws: Array, expected: Array) -> None:
    """Draws [N, ...]; an error of rounding is allowed beside that of sampling."""
    draws = np.asarray(draws, np.float64)
    error = draws.std(0) / np.sqrt(len(draws))
    excess = np.abs(draws.mean(0) - expected) - 5 * error
    assert (excess < 1e-5 * (1 + np.abs(expected))).all(), excess


@pytest.mark.sampled(3)
@pytest.mark.parametrize("dim", [2, 3, 17, 64, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statistics_are_scipys_bessel_functions(dim: int, dtype) -> None:
    jax.config.update("jax_enable_x64", dtype == np.float64)
    digit = 2e-11 if dtype == np.float64 else 1.5e-6
    kappa = np.logspace(-3, 5, 41).astype(dtype)
    log_partition, mean, gap = jax.jit(cosine_statistics, static_argnums=0)(dim, kappa)
    v, kappa = dim / 2 - 1, kappa.astype(np.float64)
    scaled, above = special.ive(v, kappa), special.ive(v + 1, kappa)
    kept = above > 1e-290
    # log E exp(kappa (w - 1)) = log(Gamma(v + 1) (2 / kappa)^v I_v(kappa)) - kappa
    log_factor = special.gammaln(v + 1) - v * np.log(kappa[kept] / 2)
    error = np.abs(log_partition[kept] - np.log(scaled[kept]) - log_factor)
    assert (error < 4 * digit * (1 + np.abs(log_factor))).all()
    ratio = above[kept] / scaled[kept]
    np.testing.assert_allclose(mean[kept], ratio, rtol=digit)
    error = np.abs(gap[kept] - kappa[kept] * (1 - ratio))
    assert (error < 10 * digit * (1 + dim / 2)).all()


@pytest.mark.slow
@pytest.mark.parametrize("dim", [2, 40])
def test_gradients_of_the_statistics(dim: int) -> None:
    kappa = jnp.logspace(-3, 4, 15)
    _, mean, gap = cosine_statistics(dim, kappa)

    def derivative(index: int) -> jax.Array:
        statistic = jax.grad(lambda k: cosine_statistics(dim, k)[index])
        return jax.jit(jax.vmap(statistic))(kappa)

    # d log E exp(kappa (w - 1)) = A - 1, and Riccati's A' = 1 - A^2 - (D - 1) A / kappa
    np.testing.assert_allclose(derivative(0), -gap / kappa, rtol=1e-4)
    riccati = 1 - mean**2 - (dim - 1) * mean / kappa
    np.testing.assert_allclose(derivative(1), riccati, atol=1e-6)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("dim", "kappa"), [(2, 0.01), (3, 5.0), (64, 300.0)])
def test_log_prob_is_scipys_and_integrates_to_one(dim: int, kappa: float) -> None:
    mu = direction(dim)
    z = UniformOnSphere(dim).sample(jax.random.key(3), (20,)).at[0].set(mu)
    unit = np.asarray(mu, np.float64) / np.linalg.norm(np.asarray(mu, np.float64))
    expected = stats.vonmises_fisher(unit, kappa).logpdf(z)
    log_prob = VonMisesFisher(mu, kappa).log_prob(z)
    np.testing.assert_allclose(log_prob, expected, rtol=2e-6, atol=1e-4)
    angle = (np.arange(20_000) + 0.5) / 20_000 * np.pi
    points = np.zeros((len(angle), dim))
    points[:, 0], points[:, 1] = np.cos(angle), np.sin(angle)
    log_prob = VonMisesFisher(jnp.eye(dim)[0], kappa).log_prob(points)
    # the sphere of radius sin(angle) in the other coordinates; S^0 has two points
    ring = (dim - 2) * np.log(np.sin(angle)) + log_area(dim - 1)
    total = np.exp(log_prob + ring).sum() * np.pi / len(angle)
    np.testing.assert_allclose(total, 1, rtol=1e-4)


def test_circle_is_scipys_von_mises() -> None:
    angle = np.linspace(-3, 3, 50)
    z = jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
    expected = stats.vonmises(4.0, loc=angle[30]).logpdf(angle)
    log_prob = VonMisesFisher(z[30], 4.0).log_prob(z)
    np.testing.assert_allclose(log_prob, expected, atol=5e-6)


@lru_cache
def draws(dim: int) -> Draws:
    """One compilation a dimension: it takes the time of these tests."""
    kappa = jnp.array([1e-3, 0.1, 5.0, 200.0, 1e5])
    pole, along = jnp.eye(dim)[0], direction(dim, seed=5)
    mu = jnp.stack([direction(dim, 7), pole, direction(dim), -pole, pole])
    tangent = along - mu * (mu @ along)[:, None]

    def sample(mu, kappa):
        return sample_von_mises_fisher(VonMisesFisher(mu, kappa), keys(DRAWS, 5))

    @jax.jit
    def sample_and_slopes():
        z, slope = jax.linearize(sample, mu, kappa)
        return z, slope(0 * mu, kappa), slope(tangent, 0 * kappa)

    return Draws(VonMisesFisher(mu, kappa), tangent, *sample_and_slopes())


@pytest.mark.slow
@pytest.mark.parametrize("dim", DIMS)
def test_kl_is_the_mean_of_the_log_ratio(dim: int) -> None:
    posterior, _, z, *_ = draws(dim)
    prior = UniformOnSphere(dim)
    kl, log_prob = kl_divergence(posterior, prior), posterior.log_prob(z)
    within_5_standard_errors(log_prob - prior.log_prob(z), kl)
    within_5_standard_errors(-log_prob, posterior.entropy())
    # KL = kappa^2 / (2 D) + O(kappa^4)
    np.testing.assert_allclose(kl[0], 1e-6 / 2 / dim, atol=2e-9)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("dim", DIMS)
def test_samples_and_pathwise_gradients_have_the_right_means(dim: int) -> None:
    posterior, tangent, z, by_log_kappa, by_mu = draws(dim)
    mu, kappa = posterior.mean_direction, posterior.concentration
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1, atol=1e-6)
    within_5_standard_errors(z, posterior.mean)
    slope = jax.vmap(jax.grad(lambda k: cosine_statistics(dim, k).mean))(kappa)
    within_5_standard_errors((by_log_kappa * mu).sum(-1), kappa * slope)
    # E[z] = A mu, along a tangent of the sphere at each mean direction
    expected = cosine_statistics(dim, kappa).mean[:, None] * tangent
    within_5_standard_errors(by_mu, expected)


def test_quantile_is_fixed_along_the_gradient() -> None:
    """On S^2 F(w) = (e^{kappa w} - e^{-kappa}) / (2 sinh kappa) has an inverse."""
    jax.config.update("jax_enable_x64", True)
    mu, kappa = jnp.eye(3)[:1], 3.0

    def cosine(k):
        return sample_von_mises_fisher(VonMisesFisher(mu, k), keys(50))[..., 0]

    w, slope = jax.jit(lambda k: jax.jvp(cosine, (k,), (1.0,)))(kappa)
    quantile = jnp.expm1(kappa * (w + 1)) / jnp.expm1(2 * kappa)

    def inverse(k):
        return jnp.log1p(quantile * jnp.expm1(2 * k)) / k - 1

    expected = jax.jvp(inverse, (kappa,), (1.0,))[1]
    np.testing.assert_allclose(slope, expected, rtol=1e-10)


@pytest.mark.slow
def test_sample_depends_on_its_key_only() -> None:
    posterior = draws(3).posterior
    few = jax.jit(sample_von_mises_fisher)(posterior, keys(3, 5))
    # XLA vectorises the two in other ways: to the last digit
    np.testing.assert_allclose(few, draws(3).z[:3], atol=3e-7)
    more = jax.eval_shape(lambda: posterior.sample(jax.random.key(0), (4, 2)))
    assert more.shape == (4, 2, 5, 3)


def test_many_jitted_samples_are_on_the_sphere() -> None:
    """Past 2^15 numbers XLA:CPU fuses some sums wrongly, and without gradients more."""
    z = jax.jit(sample_von_mises_fisher)(VonMisesFisher(jnp.eye(3), 1), keys(5000, 3))
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1, atol=1e-6)


@pytest.mark.slow
def test_reverse_mode_is_finite_at_extreme_concentrations() -> None:
    mu, kappa = jnp.stack([jnp.eye(8)[0], direction(8)]), jnp.array([1e-3, 1e5])

    def loss(mu, kappa):
        posterior = VonMisesFisher(mu, kappa)
        z = sample_von_mises_fisher(posterior, keys(500, 2))
        kl = kl_divergence(posterior, UniformOnSphere(8))
        return (posterior.log_prob(z) + z.sum(-1)).mean() + kl.sum()

    value, gradients = jax.jit(jax.value_and_grad(loss, (0, 1)))(mu, kappa)
    assert all(jnp.isfinite(array).all() for array in (value, *gradients))

"""Against numpyro, and Monte Carlo with its own standard error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from vae.distributions.gaussians import DiagonalGaussianMixture
from vae.types import Array


def mixture(offset: float, spread: float, scale: float) -> DiagonalGaussianMixture:
    """Five components in four dimensions."""
    random = np.random.default_rng(0)
    means = offset + spread * random.normal(size=(5, 4))
    scales = scale * random.uniform(0.5, 2, (5, 4))
    arrays = (random.normal(size=5), means, scales)
    return DiagonalGaussianMixture(*(jnp.asarray(a, jnp.float32) for a in arrays))


def within_5_standard_errors(draws: Array, expected: Array) -> None:
    """Draws [N, ...]."""
    draws = np.asarray(draws, np.float64)
    error = draws.std(0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - expected) < 5 * error).all()


def numpyros(ours: DiagonalGaussianMixture, z: jax.Array) -> jax.Array:
    components = Independent(Normal(ours.means, ours.scales), 1)
    weights = Categorical(logits=ours.logits)
    return MixtureSameFamily(weights, components).log_prob(z)


@pytest.mark.parametrize(
    ("offset", "spread", "scale"),
    [(0, 1, 1), (0, 5, 3), (100, 1, 1), (-1e4, 20, 10), (0, 0.03, 0.01), (50, 2, 0.1)],
)
def test_log_prob_is_numpyros(offset: float, spread: float, scale: float) -> None:
    ours = mixture(offset, spread, scale)
    noise = np.random.default_rng(1).normal(size=(2, 40, 5, 4))
    z = (ours.means + noise * ours.scales).reshape(2, 200, 4)
    z = z.at[1].add(spread)
    found = jax.jit(DiagonalGaussianMixture.log_prob)(ours, z)
    jax.config.update("jax_enable_x64", True)  # numpyro's sums round in float32 too
    double = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (ours, z))
    expected = jax.jit(numpyros)(*double)
    # Squares are differences of products, as large as (distance / scale)^2, with five
    # roundings of half a digit, 6e-8.
    rounding = 3e-7 * ((1 + 3 * spread) / scale) ** 2 if scale < spread / 5 else 0
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 + rounding)


def test_mixture_samples_have_its_moments() -> None:
    ours = mixture(1, 2, 0.5)
    z = jax.jit(lambda key: ours.sample(key, (20_000,)))(jax.random.key(0))
    weights = jax.nn.softmax(ours.logits)
    within_5_standard_errors(z, weights @ ours.means)
    within_5_standard_errors(z**2, weights @ (ours.means**2 + ours.scales**2))
    for shape in ((), (2, 3)):
        one = jax.eval_shape(
            lambda key, s=shape: ours.sample(key, s), jax.random.key(0)
        )
        assert one.shape == (*shape, 4)


def test_kl_of_full_from_diagonal() -> None:
    random = np.random.default_rng(0)
    tril = np.tril(random.normal(size=(2, 3, 3)), -1) + np.diag([0.3, 1, 2.0])
    posterior = MultivariateNormal(random.normal(size=(2, 3)), scale_tril=tril)
    mean, scale = random.normal(size=3), np.array([0.5, 1.0, 3.0])
    prior = Independent(Normal(mean, scale), 1)
    full = MultivariateNormal(mean, scale_tril=np.diag(scale))

    @jax.jit
    def kl_and_log_ratios(key):
        kl = kl_divergence(posterior, prior), kl_divergence(posterior, full)
        z = posterior.sample(key, (50_000,))
        return *kl, posterior.log_prob(z) - prior.log_prob(z)

    found, numpyros, log_ratios = kl_and_log_ratios(jax.random.key(0))
    assert found.shape == (2,)
    np.testing.assert_allclose(found, numpyros, rtol=1e-5)
    within_5_standard_errors(log_ratios, found)

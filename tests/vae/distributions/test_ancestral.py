import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)

from vae.distributions.ancestral import Ancestral, GivenCodes, split_groups
from vae.models.hierarchy import Generator
from vae.models.posteriors import DiagonalGaussian
from vae.nn.layers import MLP

A, B, S = 0.8, 0.3, 0.6


def standard_normal() -> Independent:
    return Independent(Normal(jnp.zeros(1), jnp.ones(1)), 1)


@pytest.fixture
def joint() -> Ancestral:
    """z_2 ~ N(0, 1), z_1 ~ N(A z_2 + B, S^2)."""
    generator = Generator(MLP((), jnp.tanh), DiagonalGaussian(1))
    log_variance = {"kernel": jnp.zeros((1, 1)), "bias": jnp.log(jnp.array([S**2]))}
    mean = {"kernel": jnp.array([[A]]), "bias": jnp.array([B])}
    params = {"gaussian": {"mean": mean, "log_variance": log_variance}}
    return Ancestral(standard_normal(), [generator], [{"params": params}], (1, 1))


def test_log_prob_is_that_of_the_joint_gaussian(joint: Ancestral) -> None:
    """The lowest group comes first."""
    z = np.random.default_rng(0).normal(size=(5, 3, 2))
    upper, lower = z[..., 1], (z[..., 0] - A * z[..., 1] - B) / S
    expected = -(upper**2 + lower**2) / 2 - np.log(2 * np.pi * S)
    np.testing.assert_allclose(joint.log_prob(jnp.asarray(z)), expected, rtol=1e-5)
    assert joint.event_shape == (2,)


def test_samples_have_its_moments(joint: Ancestral) -> None:
    count = 40_000
    z = np.asarray(joint.sample(jax.random.key(0), (count,)))
    covariance = np.array([[A**2 + S**2, A], [A, 1]])
    np.testing.assert_allclose(z.mean(0), [B, 0], atol=5 / count**0.5)
    np.testing.assert_allclose(np.cov(z.T), covariance, atol=5 * (2 / count) ** 0.5)


def test_noise_is_each_group_standardised_given_those_above(joint: Ancestral) -> None:
    z = np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32)
    expected = np.stack([(z[..., 0] - A * z[..., 1] - B) / S, z[..., 1]], -1)
    noise = joint.to_noise(jnp.asarray(z))
    np.testing.assert_allclose(noise, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(joint.from_noise(noise), z, rtol=1e-5, atol=1e-6)


def test_the_highest_group_stays_unless_it_is_gaussian(joint: Ancestral) -> None:
    top = MixtureSameFamily(
        Categorical(jnp.array([0.5, 0.5])),
        Independent(Normal(jnp.array([[-2.0], [2.0]]), 0.5), 1),
    )
    mixed = Ancestral(top, joint.generators, joint.variables, joint.sizes)
    z = jnp.array([[0.2, -1.5], [1.0, 2.2]])
    noise = mixed.to_noise(z)
    np.testing.assert_array_equal(noise[:, 1], z[:, 1])
    np.testing.assert_allclose(noise[:, 0], joint.to_noise(z)[:, 0], rtol=1e-6)
    np.testing.assert_allclose(mixed.from_noise(noise), z, rtol=1e-6)


def test_it_passes_through_jit(joint: Ancestral) -> None:
    z = jnp.ones((4, 2))
    found = jax.jit(lambda own: own.log_prob(z))(joint)
    np.testing.assert_allclose(found, joint.log_prob(z), rtol=1e-6)


def test_given_codes_has_no_divergence_in_closed_form() -> None:
    base = standard_normal()
    with pytest.raises(NotImplementedError):
        kl_divergence(base, GivenCodes(base))
    z = jnp.array([[0.5], [2.0]])
    np.testing.assert_array_equal(GivenCodes(base).log_prob(z), base.log_prob(z))


def test_groups_lie_side_by_side() -> None:
    parts = split_groups(jnp.arange(6.0)[None], (3, 1, 2))
    assert [part.tolist() for part in parts] == [[[0, 1, 2]], [[3]], [[4, 5]]]

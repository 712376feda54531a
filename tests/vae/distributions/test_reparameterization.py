from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Independent, MultivariateNormal, Normal

from vae import rng
from vae.distributions.reparameterization import frozen_log_prob, sample_and_log_prob
from vae.types import LatentGroup


def keys(samples: int, examples: int) -> jax.Array:
    per_example = rng.per_example(jax.random.key(0), jnp.arange(examples))
    return rng.per_sample(per_example, jnp.arange(samples))


@pytest.mark.slow
def test_a_sample_moves_with_the_parameters() -> None:
    """z = mean + scale e: slopes 1 by the mean and e by the scale, and the same for a
    covariance's triangle."""
    mean, scale = jnp.array([[1.0, -2.0]]), jnp.array([[0.5, 3.0]])

    def draw(mean: jax.Array, scale: jax.Array) -> jax.Array:
        q = Independent(Normal(mean, scale), 1)
        return sample_and_log_prob(q, keys(4, 1))[0]

    noise = (draw(mean, scale) - mean) / scale
    by_mean, by_scale = jax.jacobian(draw, (0, 1))(mean, scale)
    unit = jnp.broadcast_to(jnp.eye(2), (4, 2, 2))
    np.testing.assert_allclose(by_mean[:, 0, :, 0], unit, atol=1e-6)
    expected = unit * noise[:, 0, :, None]
    np.testing.assert_allclose(by_scale[:, 0, :, 0], expected, rtol=1e-5, atol=1e-6)
    full = MultivariateNormal(mean, scale_tril=jax.vmap(jnp.diag)(scale))
    z, log_q = sample_and_log_prob(full, keys(4, 1))
    np.testing.assert_allclose(z, draw(mean, scale), rtol=1e-5)
    np.testing.assert_allclose(log_q, full.log_prob(z), rtol=1e-5)


def test_a_frozen_density_has_no_score() -> None:
    """d log q / d mean = 0 at a fixed z; by z it is that of q."""
    z, scale = jnp.array([[[0.7]]]), jnp.array([[2.0]])

    def frozen(mean: jax.Array, z: jax.Array, scale: jax.Array = scale) -> jax.Array:
        q = Independent(Normal(mean, scale), 1)
        return frozen_log_prob(
            LatentGroup(z, z[..., 0], q, q, jnp.ones(z.shape[-1], bool))
        ).sum()

    mean = jnp.array([[-0.5]])
    value, (score, by_z) = jax.value_and_grad(frozen, (0, 1))(mean, z)
    np.testing.assert_allclose(value, Normal(mean, scale).log_prob(z)[0, 0, 0])
    assert score == 0
    np.testing.assert_allclose(by_z, -(z - mean) / scale**2)


def test_unknown_posteriors_are_refused() -> None:
    with pytest.raises(TypeError, match="no reparameterised samples"):
        sample_and_log_prob(Normal(0.0, 1.0), keys(1, 1))


def test_noise_of_fewer_samples_or_dimensions_is_a_prefix() -> None:
    @partial(jax.jit, static_argnums=(0, 1))
    def draw(samples: int, dim: int) -> jax.Array:
        mean, scale = jnp.arange(1.0, dim + 1), jnp.linspace(0.1, 1, 5)[:dim]
        q = Independent(Normal(jnp.tile(mean, (2, 1)), jnp.tile(scale, (2, 1))), 1)
        return sample_and_log_prob(q, keys(samples, 2))[0]

    # XLA vectorises fewer of them in another way: equal to rounding
    np.testing.assert_allclose(draw(2, 3), draw(5, 5)[:2, :, :3], rtol=1e-5)

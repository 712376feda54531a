"""A flow of known shape: z = exp(s) u + t."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from numpyro.distributions import Independent, Normal

from vae.distributions.transformed import TransformedDistribution
from vae.nn.flows import Planar


class Affine(nn.Module):
    @nn.compact
    def __call__(self, u: jax.Array, context: jax.Array | None = None):
        shift = self.param("shift", nn.initializers.zeros, (2,))
        log_scale = self.param("log_scale", nn.initializers.zeros, (2,))
        shift = shift if context is None else shift + context
        log_det = jnp.broadcast_to(log_scale.sum(), u.shape[:-1])
        return jnp.exp(log_scale) * u + shift, log_det

    @nn.compact
    def inverse(self, z: jax.Array, context: jax.Array | None = None):
        shift = self.param("shift", nn.initializers.zeros, (2,))
        log_scale = self.param("log_scale", nn.initializers.zeros, (2,))
        shift = shift if context is None else shift + context
        log_det = jnp.broadcast_to(log_scale.sum(), z.shape[:-1])
        return (z - shift) * jnp.exp(-log_scale), log_det


SHIFT, LOG_SCALE = np.float32([3.0, -1.0]), np.float32([0.5, -0.7])
VARIABLES = {"params": {"shift": SHIFT, "log_scale": LOG_SCALE}}
BASE = Independent(Normal(jnp.zeros((4, 2)), jnp.ones((4, 2))), 1)


@pytest.mark.parametrize("context", [None, np.float32([[1.0], [2.0], [0.0], [5.0]])])
def test_a_gaussian_scaled_and_moved_is_a_gaussian(context: np.ndarray | None) -> None:
    moved = TransformedDistribution(BASE, Affine(), VARIABLES, context)
    assert (moved.batch_shape, moved.event_shape) == ((4,), (2,))
    mean = np.broadcast_to(SHIFT + (0 if context is None else context), (4, 2))
    expected = Independent(Normal(mean, np.exp(LOG_SCALE)), 1)

    @jax.jit  # it is a pytree
    def densities(moved: TransformedDistribution, key: jax.Array):
        u = moved.base.sample(key, (3,))
        return *moved.push(u), moved.sample(key, (3,))

    z, pushed, sampled = densities(moved, jax.random.key(0))
    np.testing.assert_allclose(sampled, z, rtol=1e-6)
    np.testing.assert_allclose(pushed, expected.log_prob(z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moved.log_prob(z), pushed, rtol=1e-4, atol=1e-5)


def test_without_an_inverse_only_own_samples_have_a_density() -> None:
    flow, u = Planar(2), jnp.ones((4, 2))
    variables = flow.init(jax.random.key(0), u)
    planar = TransformedDistribution(BASE, flow, variables)
    z, log_prob = planar.push(u)
    assert z.shape == (4, 2) and np.isfinite(log_prob).all()
    with pytest.raises(NotImplementedError):
        planar.log_prob(z)

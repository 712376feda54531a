import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from vae.distributions.observed import fill, of_observed
from vae.types import Unsupported

LIKELIHOODS = {
    "bernoulli": vae.Bernoulli(),
    "continuous_bernoulli": vae.ContinuousBernoulli(),
    "gaussian": vae.Gaussian(),
    "gaussian_per_pixel": vae.GaussianPerPixel(),
    "discretized_logistic": vae.DiscretizedLogistic(),
    "categorical": vae.Categorical256(),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_density_is_that_of_the_observed_values(name: str) -> None:
    """Of the same model of these columns alone, with finite gradients."""
    likelihood = LIKELIHOODS[name]
    each = likelihood.features_per_channel
    features = jax.random.normal(jax.random.key(0), (7, 4 * each))
    x = jnp.round(jax.random.uniform(jax.random.key(1), (7, 4)))

    def log_prob(features: jax.Array, x: jax.Array) -> jax.Array:
        made = likelihood.apply({}, features, event_dim=1)
        return of_observed(made).log_prob(x)

    seen = jnp.array([0, 2])
    of_seen = features.reshape(7, 4, each)[:, seen].reshape(7, -1)
    expected = likelihood.apply({}, of_seen, event_dim=1).log_prob(x[:, seen])
    missing = x.at[:, jnp.array([1, 3])].set(jnp.nan)
    np.testing.assert_allclose(log_prob(features, missing), expected, rtol=1e-5)
    gradient = jax.grad(lambda f: log_prob(f, missing).sum())(features)
    by_column = np.abs(np.asarray(gradient).reshape(7, 4, each)).sum((0, 2))
    assert np.isfinite(by_column).all()
    np.testing.assert_array_equal(by_column > 0, [True, False, True, False])


def test_missing_values_are_filled_with_zeros() -> None:
    filled, is_observed = fill(jnp.array([1.0, jnp.nan, 0.0]))
    np.testing.assert_array_equal(filled, [1, 0, 0])
    np.testing.assert_array_equal(is_observed, [True, False, True])


def test_a_variance_without_closed_form_is_refused() -> None:
    features = jnp.zeros((1, 6))
    made = vae.DiscretizedLogistic().apply({}, features, event_dim=1)
    with pytest.raises(Unsupported, match="has no variance in closed form"):
        _ = of_observed(made).variance
    gaussian = of_observed(vae.Gaussian(0.5).apply({}, features, event_dim=1))
    np.testing.assert_allclose(gaussian.variance, np.full((1, 6), 0.25))

import jax
import numpy as np
import pytest
from scipy import stats

from vae.latents.aggregate import fit_gaussian_mixture


@pytest.mark.slow
def test_a_fitted_mixture_is_the_density_it_was_drawn_from() -> None:
    random = np.random.default_rng(0)
    means = np.array([[-4.0, 0.0], [4.0, 1.0]])
    covariance = np.array([[1.0, 0.6], [0.6, 1.0]])
    chosen = random.choice(2, 20_000, p=[0.3, 0.7])
    codes = means[chosen] + random.multivariate_normal([0, 0], covariance, 20_000)
    density = fit_gaussian_mixture(codes.astype("f4"), 2, seed=0)
    truth = np.logaddexp(
        *(
            np.log(weight) + stats.multivariate_normal(mean, covariance).logpdf(codes)
            for weight, mean in zip((0.3, 0.7), means, strict=True)
        )
    )
    # Eleven fitted parameters cost 11 / 2 / 20,000 nats in the mean.
    difference = truth - np.asarray(density.log_prob(codes.astype("f4")))
    assert abs(difference.mean()) < 0.01
    draws = density.sample(jax.random.key(0), (5000,))
    error = codes.std(0) / np.sqrt(5000)
    np.testing.assert_allclose(draws.mean(0), codes.mean(0), atol=5 * error.max())

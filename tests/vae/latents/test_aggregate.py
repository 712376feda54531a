import jax
import numpy as np
from scipy import stats

from experiments.program import make_program, own_model
from vae.build import build
from vae.latents.aggregate import fit_gaussian_mixture, sample_codes


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


def test_codes_do_not_depend_on_the_batch(small_config) -> None:
    experiment = build(small_config)
    state, _ = make_program(experiment).initialize(experiment)
    test = experiment.dataset.test
    arguments = (*own_model(experiment, state), experiment.preprocess)
    whole = sample_codes(*arguments, test[:501], jax.random.key(0))
    part = sample_codes(*arguments, test[:20], jax.random.key(0))
    assert whole.shape == (500, 4)
    np.testing.assert_allclose(whole[:20], part, atol=1e-6)

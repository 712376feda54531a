import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tests.helpers import linear_gaussian as exact
from tests.helpers.trained import untrained
from vae import rng
from vae.evaluation import bounds
from vae.evaluation.base import Trained
from vae.evaluation.bounds import evaluate_split, make_importance_bound


def bound_of(params, num_samples: int, count: int = 64, seed: int = 0):
    x = exact.images(count)
    keys = rng.per_example(rng.stream(seed, "test"), jnp.arange(count))
    return jax.jit(make_importance_bound(exact.MODEL, num_samples))(
        {"params": params}, x, None, keys
    )


@pytest.mark.parametrize("num_samples", [1, 7, 100])
def test_the_exact_posterior_gives_log_p_with_no_variance(num_samples: int) -> None:
    got = bound_of(exact.params(), num_samples)
    expected = exact.log_prob(exact.images(64))
    # Rounding of float32 sums of order 10.
    np.testing.assert_allclose(got.log_likelihood, expected, atol=2e-5)
    np.testing.assert_allclose(got.effective_sample_size, num_samples, rtol=1e-4)


def test_the_bound_grows_to_log_p_and_stays_below() -> None:
    params = exact.params(posterior_shift=0.3, posterior_widening=1.2)
    count = 2000
    truth = exact.log_prob(exact.images(count))
    gaps = []
    for num_samples in (1, 10, 100):
        difference = truth - bound_of(params, num_samples, count).log_likelihood
        error = difference.std() / np.sqrt(count)
        assert difference.mean() > -4 * error
        gaps.append((difference.mean(), error))
    for (gap, error), (next_gap, next_error) in zip(gaps, gaps[1:], strict=False):
        assert gap - next_gap > 4 * np.hypot(error, next_error)


def test_one_sample_is_the_elbo() -> None:
    params = exact.params(0.3, 1.2)
    x = exact.images(64)
    keys = rng.per_example(rng.stream(0, "test"), jnp.arange(64))
    terms = exact.terms(params, x, keys, 1)
    got = bound_of(params, 1)
    np.testing.assert_allclose(got.log_likelihood, terms.log_weights[0], rtol=1e-5)
    np.testing.assert_allclose(got.distortion, terms.distortion[0], rtol=1e-5)
    np.testing.assert_allclose(got.rate, terms.rate[0], rtol=1e-5)


def test_elbo_with_closed_form_rate_agrees_with_the_mean_of_log_weights() -> None:
    params = exact.params(0.3, 1.2)
    got = bound_of(params, 20_000, count=4)
    keys = rng.per_example(rng.stream(1, "test"), jnp.arange(4))
    x = exact.images(4)
    log_weights = exact.terms(params, x, keys, 20_000).log_weights
    error = np.asarray(log_weights).std(0) / np.sqrt(20_000)
    difference = -(got.distortion + got.rate) - log_weights.mean(0)
    assert (np.abs(difference) < 5 * np.sqrt(2) * error).all()


def test_the_bound_does_not_depend_on_how_samples_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = exact.params(0.3, 1.2)
    whole = bound_of(params, 103)
    monkeypatch.setattr(bounds, "ROWS_PER_CHUNK", 64 * 10)  # ten at once, then three
    pieces = bound_of(params, 103)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), whole, pieces
    )


def test_effective_sample_size_of_unequal_weights() -> None:
    params, x = exact.params(0.3, 1.2), exact.images(64)
    keys = rng.per_example(rng.stream(0, "test"), jnp.arange(64))
    log_weights = np.asarray(exact.terms(params, x, keys, 50).log_weights, np.float64)
    weights = np.exp(log_weights - log_weights.max(0))
    expected = weights.sum(0) ** 2 / (weights**2).sum(0)
    got = bound_of(params, 50).effective_sample_size
    np.testing.assert_allclose(got, expected, rtol=1e-3)


def test_reconstruction_probability_of_gaussians_in_closed_form() -> None:
    count, num_samples = 16, 20_000
    params = exact.params(0.3, 1.2)
    got = bound_of(params, num_samples, count)
    x = exact.images(count).reshape(count, -1)
    mean = x @ params["posterior"]["mean"]["kernel"] + 0.3
    variance = np.exp(params["posterior"]["log_variance"]["bias"])
    covariance = exact.WEIGHTS * variance @ exact.WEIGHTS.T
    covariance += exact.SCALE**2 * np.eye(4)
    expected = [
        multivariate_normal(exact.WEIGHTS @ m, covariance).pdf(row)
        for m, row in zip(mean, x, strict=True)
    ]
    # Each density is below the peak of p(x | z), so is its standard deviation.
    peak = (2 * np.pi * exact.SCALE**2) ** -2
    np.testing.assert_allclose(
        np.exp(got.reconstruction_log_prob),
        expected,
        atol=5 * peak / 2 / np.sqrt(num_samples),
    )


def test_codes_of_many_dimensions_are_not_kept_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All bounds are as they were, to the rounding of another program."""
    whole = bound_of(exact.params(0.3, 1.2), 3)
    monkeypatch.setattr(bounds, "MOST_DIMENSIONS", 1)
    found = bound_of(exact.params(0.3, 1.2), 3)
    kept = {"posterior_mean": None, "mean_error": None, "kl_per_dimension": None}
    assert whole.posterior_mean is not None and whole.kl_per_dimension is not None
    expected = whole._replace(**kept)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    jax.tree.map(same, found, expected)


def results(trained: Trained, num_samples: int) -> dict[str, Any]:
    test = trained.subject.dataset.test
    return evaluate_split(trained, test, name="test", num_samples=num_samples)


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "num_devices"), [(7, 1), (500, 1), (32, 4)])
def test_every_image_counts_once(
    small_config, batch_size: int, num_devices: int
) -> None:
    def results_of(batch_size: int, num_devices: int):
        small_config.runtime.evaluation_batch_size = batch_size
        small_config.runtime.num_devices = num_devices
        return results(untrained(small_config), 3)

    got, expected = results_of(batch_size, num_devices), results_of(100, 1)
    assert got.keys() == expected.keys()
    assert got["test/images"] == 500
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=2e-5, err_msg=name)


def test_the_average_of_the_weights_is_evaluated_under_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Fake(NamedTuple):
        on_batch: Any = None
        average: Any = None
        importance_samples: int = 7

    seen = []

    def run(trained: Any, *, importance_samples: int) -> dict[str, float]:
        seen.append((trained, importance_samples))
        return {"test/elbo_nats": -1.0, "latent/active_units": 3}

    monkeypatch.setattr(bounds, "run", run)
    average, hears = Fake(), print
    found = bounds.run_average(Fake(hears, average))  # type: ignore[arg-type]
    assert found == {"test/ema/elbo_nats": -1.0}
    assert seen == [(average._replace(on_batch=hears), 7)]
    assert bounds.run_average(Fake(hears)) == {}  # type: ignore[arg-type]

"""Against the exact log p(x) of a linear model."""

from typing import Any

import jax
import numpy as np
import pytest

from tests.helpers import linear_gaussian as exact
from tests.helpers.trained import linear
from vae.evaluation import log_likelihood
from vae.evaluation.ais import make_annealed_bounds

SHIFT, WIDENING = 0.3, 1.5  # of the posterior
COUNT, STEPS, SAMPLES = 40, 100, 50


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """Of every second of the images, which are annealed in batches."""
    trained = linear(2 * COUNT - 1, exact.params(SHIFT, WIDENING), SAMPLES)
    return log_likelihood.run(trained, images=COUNT, steps=STEPS)


def log_p() -> np.ndarray:
    return exact.log_prob(exact.images(2 * COUNT - 1)[::2])


@pytest.mark.slow
def test_the_annealed_bound_is_log_p(results: dict[str, Any]) -> None:
    assert results["ais/images"] == COUNT
    assert results["ais/steps"] == STEPS
    assert 10 < results["ais/ess"] < log_likelihood.CHAINS
    # Each of 40 images is off by less than sqrt((16 / 10 - 1) / 16) nats.
    off = 4 * 0.2 / COUNT**0.5
    assert results["ais/nll_nats"] == pytest.approx(-log_p().mean(), abs=off)
    error = log_p().std(ddof=1) / COUNT**0.5
    assert results["ais/nll_stderr"] == pytest.approx(error, rel=0.05)
    gap = results[f"ais/nll_is{SAMPLES}_nats"] - results["ais/nll_nats"]
    assert results[f"ais/is{SAMPLES}_gap_nats"] == pytest.approx(gap, abs=1e-5)


@pytest.mark.slow
def test_the_posterior_loses_its_divergence_and_the_family_nothing(
    results: dict[str, Any],
) -> None:
    """KL of N(m + shift, widening^2 s^2) from N(m, s^2), for both dimensions."""
    precision = 1 + (exact.WEIGHTS**2).sum(0) / exact.SCALE**2
    kl = (WIDENING**2 + SHIFT**2 * precision - 1) / 2 - np.log(WIDENING)
    assert results["ais/amortisation_gap_nats"] == pytest.approx(kl.sum(), abs=0.03)
    # The larger of two noisy bounds is a little too large.
    assert -0.01 < results["ais/approximation_gap_nats"] < 0.1


@pytest.mark.slow
def test_the_bounds_of_simulated_images_enclose_log_p(results: dict[str, Any]) -> None:
    """Those images are drawn again, by their seed and places."""
    bounds = make_annealed_bounds(exact.MODEL, np.array([0.0, 1.0]), num_chains=1)
    keys = log_likelihood._keys(0, "simulated", np.arange(0, 2 * COUNT - 1, 2))
    variables = {"params": exact.params(SHIFT, WIDENING)}
    simulated, _ = bounds.simulate(variables, None, keys)
    truth = exact.log_prob(np.asarray(simulated)).mean()
    lower, upper, gap, error, sampled = (
        results[f"ais/simulated_{name}"]
        for name in (
            *("lower_nats", "upper_nats", "gap_nats", "gap_stderr"),
            f"is{SAMPLES}_nats",
        )
    )
    assert lower - 4 * error < truth < upper + 4 * error
    assert gap == pytest.approx(upper - lower, abs=1e-5)
    assert -4 * error < gap < 0.05
    assert sampled == pytest.approx(truth, abs=0.1)


def test_what_it_cannot_anneal() -> None:
    subject = linear(COUNT, exact.params(), SAMPLES).subject
    assert log_likelihood.applies(subject, images=COUNT, steps=2) is None
    for images, steps, reason in (
        (COUNT + 1, 2, "more than the 40 test images"),
        (COUNT, 1, "needs 2 steps or more"),
    ):
        found = log_likelihood.applies(subject, images=images, steps=steps) or ""
        assert reason in found


@pytest.mark.slow
def test_an_image_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"num_steps": 10, "num_samples": 2, "evaluation_samples": 10}
    wanted = log_likelihood.OPTIMISATION | few
    monkeypatch.setattr(log_likelihood, "OPTIMISATION", wanted)
    trained = linear(6, exact.params(SHIFT, WIDENING), SAMPLES)
    found = []
    for size in (6, 4):
        monkeypatch.setattr(log_likelihood, "BATCH", size)
        found.append(log_likelihood.run(trained, images=6, steps=5))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), *found)

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Independent, Normal

from vae.evaluation.collapse import (
    LEARNED_VARIANCE,
    LOWER_BETA,
    WARM_UP,
    decoder_sensitivity,
    information,
    judge,
    judge_codes,
    judge_groups,
)


def gaussians(means: np.ndarray, scale: float) -> Independent:
    return Independent(Normal(jnp.asarray(means), scale), 1)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_information_of_gaussians_in_closed_form(scale: float) -> None:
    """x ~ N(0, s^2) and z ~ N(x, 1 - s^2), by which q(z) is the prior; or wider."""
    count, signal = 4000, 0.6
    x = signal * np.random.default_rng(0).normal(size=(count, 1))
    noise = scale * np.sqrt(1 - signal**2)
    posterior = gaussians(x, noise)
    z = posterior.sample(jax.random.key(0))
    log_q = posterior.log_prob(z)
    got = information(posterior, gaussians(np.zeros(1), 1.0), z, log_q)
    variance = signal**2 + noise**2
    expected = np.log(variance / noise**2) / 2, (variance - 1 - np.log(variance)) / 2
    # The standard deviation of each term over images is below one nat; and the 4,000
    # posteriors overlap so much that their mixture is the marginal within less.
    np.testing.assert_allclose(got, expected, atol=4 / np.sqrt(count))


def test_separate_images_tell_as_much_as_there_are_of_them() -> None:
    posterior = gaussians(100 * np.arange(32.0)[:, None], 1.0)
    z = posterior.sample(jax.random.key(0))
    prior = gaussians(np.zeros(1), 100.0)
    log_q = posterior.log_prob(z)
    mutual, marginal = information(posterior, prior, z, log_q)
    np.testing.assert_allclose(mutual, np.log(32), rtol=1e-6)
    rate = (log_q - prior.log_prob(z)).mean()
    np.testing.assert_allclose(mutual + marginal, rate, rtol=1e-5)


def test_sensitivity_of_a_linear_decoder_is_its_columns_norm() -> None:
    weights = np.array([[3.0, 0.0, 1.0], [4.0, 0.0, 0.0]])
    z = jax.random.normal(jax.random.key(0), (5, 3))
    got = decoder_sensitivity(lambda z: z @ weights.T, z)
    np.testing.assert_allclose(got, [5, 0, 1], rtol=1e-6)


VERDICTS = {
    "healthy": (20.0, [0.9, 0.8], "2 of 2 are active"),
    "partly collapsed": (10.0, [0.9, 0.001], "1 of 2 are active"),
    "over-regularised": (0.4, [0.3, 0.3], "noise outweighs signal in 2 units"),
    "collapsed": (0.01, [0.02, 0.001], "the rate is 0.01 nats, and 1 of 2"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_verdicts_on_constructed_latent_spaces(name: str) -> None:
    rate, mean_variance, reason = VERDICTS[name]
    verdict = judge(rate, np.array(mean_variance), np.ones(2))
    assert verdict.name == name
    assert reason in verdict.reason
    assert bool(verdict.remedies) == (name != "healthy")


def test_advice_begins_with_the_likely_cause() -> None:
    nothing = 0.01, np.array([0.001]), np.ones(1)
    assert judge(*nothing).remedies[-1] == LOWER_BETA
    of_bytes = judge(*nothing, beta=50.0, has_fixed_variance=False).remedies
    assert of_bytes[0] == LOWER_BETA
    assert LEARNED_VARIANCE not in of_bytes
    assert LEARNED_VARIANCE in judge(*nothing, beta=50.0).remedies
    assert WARM_UP in judge(*nothing).remedies
    assert WARM_UP not in judge(*nothing, excluded=[WARM_UP]).remedies


GROUPS = [
    ([20.0], [True], "healthy: 5 of 5"),
    ([15.0, 5.0], [True, True], "healthy: 5 of 5"),
    (
        [15.0, 0.05],
        [True, True],
        r"partly collapsed: unused of 2 groups: 2 \(1 is next",
    ),
    ([0.05, 15.0], [True, True], r"partly collapsed: unused of 2 groups: 1 \("),
    ([-0.5, 15.0], [False, True], "healthy: 5 of 5"),  # of a chain: no divergence
    ([0.02, 0.02], [True, True], "collapsed: the rate is 0.04"),
]


@pytest.mark.parametrize(("rates", "are_divergences", "expected"), GROUPS)
def test_each_group_is_judged(
    rates: list[float], are_divergences: list[bool], expected: str
) -> None:
    sizes = (3, 2)[: len(rates)] if len(rates) > 1 else (5,)
    verdict = judge_groups(
        rates, np.ones(5), np.ones(5), np.zeros(5), sizes, are_divergences
    )
    assert re.match(expected, str(verdict)), verdict
    assert bool(verdict.remedies) == (verdict.name != "healthy")


def test_a_group_without_active_units_is_unused() -> None:
    mean_variance = np.array([1.0, 1.0, 1.0, 0.001, 0.002])
    given = mean_variance, np.ones(5), np.zeros(5), (3, 2), (False, True)
    verdict = judge_groups([20.0, 3.0], *given)
    assert "unused of 2 groups: 2" in str(verdict) and "3 of 5" in str(verdict)


def test_a_variance_within_its_error_makes_no_unit_active() -> None:
    variance, error = np.array([1.0, 1.0, 1.0, 0.1, 0.1]), np.full(5, 0.04)
    given = variance, np.ones(5), error, (3, 2), (False, True)
    verdict = judge_groups([20.0, 3.0], *given)
    assert "unused of 2 groups: 2" in str(verdict) and "3 of 5" in str(verdict)


def test_no_active_unit_is_collapse_at_any_rate() -> None:
    assert judge(3.0, np.array([0.001]), np.ones(1)).name == "collapsed"


@pytest.mark.parametrize(
    ("counts", "used", "perplexity", "name"),
    [
        ([[500, 0, 0, 0]], 1, 1, "collapsed"),
        ([[25, 25, 25, 25]], 4, 4, "healthy"),
        ([[50, 50, 0, 0, 0]], 2, 2, "partly collapsed"),
        ([[10, 10], [20, 0]], 1.5, 1.5, "healthy"),  # means over two positions
        ([[1] * 20 + [0] * 44], 20, 20, "healthy"),  # twenty images, all apart
    ],
)
def test_use_of_discrete_codes(
    counts: list[list[int]], used: float, perplexity: float, name: str
) -> None:
    use = judge_codes(np.array(counts))
    assert (use.used, use.verdict.name) == (used, name)
    assert use.perplexity == pytest.approx(perplexity)
    assert bool(use.verdict.remedies) == (name != "healthy")

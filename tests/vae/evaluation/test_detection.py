import numpy as np
import pytest
from scipy import stats

from vae.evaluation.detection import detect, false_alarm_interval, threshold_of
from vae.types import Unsupported


def test_known_scores() -> None:
    """Of 3 x 2 pairs the anomaly is above in four, and level in one."""
    got = detect(np.array([1.0, 2.0, 4.0]), np.array([2.0, 5.0]))
    assert got.auroc == pytest.approx(4.5 / 6)
    # Going down: 5 is an anomaly; then 4, normal; then 2, one of each.
    assert got.auprc == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
    assert got.fpr95 == pytest.approx(2 / 3)  # both anomalies found at 2 and above


def test_equal_sets_are_not_told_apart() -> None:
    scores = np.random.default_rng(0).normal(size=500)
    got = detect(scores, scores)
    assert got.auroc == pytest.approx(0.5)
    assert got.auprc == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("normal", "anomalous", "expected"),
    [
        # A score that tells nothing flags as many normal images as anomalies.
        (np.repeat(np.arange(4.0), 5), np.repeat(np.arange(4.0), 5), 0.95),
        (np.arange(20.0), np.arange(20.0), 0.95),
        (np.zeros(7), np.zeros(20), 0.95),
        # 19 of 20 anomalies: all five at 2, and four of five at 1.
        (np.array([0.0, 1, 1, 2]), np.repeat([1.0, 2, 3, 4], 5), (1 + 0.8 * 2) / 4),
    ],
)
def test_ties_count_by_their_share(
    normal: np.ndarray, anomalous: np.ndarray, expected: float
) -> None:
    assert detect(normal, anomalous).fpr95 == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 7, 19, 20, 21, 60, 180])
def test_without_ties_it_is_the_best_threshold_that_finds_enough(count: int) -> None:
    random = np.random.default_rng(count)
    normal, anomalous = random.normal(size=50), random.normal(1, size=count)
    enough = [t for t in anomalous if (anomalous >= t).mean() >= 0.95]
    expected = min((normal >= threshold).mean() for threshold in enough)
    assert detect(normal, anomalous).fpr95 == expected


def test_normals_of_equal_width_in_closed_form() -> None:
    random = np.random.default_rng(0)
    normal, anomalous = random.normal(size=(2, 20_000)) + [[0.0], [1.0]]
    got = detect(normal, anomalous)
    # P(N(1, 2) > 0) = Phi(1 / sqrt 2), and P(N(0, 1) > 1 - 1.6449).
    # Standard errors: below sqrt(auroc (1 - auroc) / 20,000), and about that of the
    # quantile, sqrt(.05 .95 / 20,000) / density(1.6449), times the density there.
    assert got.auroc == pytest.approx(0.76025, abs=5 * 0.003)
    assert got.fpr95 == pytest.approx(0.74051, abs=5 * 0.006)


def test_infinite_scores_are_the_highest() -> None:
    assert detect(np.array([0.0, 1.0]), np.array([np.inf])).auroc == 1


@pytest.mark.parametrize(
    ("normal", "message"), [([], "0 and 1 are given"), ([np.nan], "1 of 2 are nan")]
)
def test_what_cannot_be_compared_is_refused(normal: list, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        detect(np.array(normal), np.array([1.0]))


@pytest.mark.parametrize(
    ("rate", "above"), [(0.0, 0), (0.05, 5), (0.29, 29), (0.999, 99)]
)
def test_at_most_the_chosen_share_is_above_the_threshold(
    rate: float, above: int
) -> None:
    scores = np.random.default_rng(0).permutation(100).astype(float)
    assert (scores > threshold_of(scores, rate)).sum() == above
    low, high = false_alarm_interval(100, rate)
    assert stats.beta.cdf([low, high], above + 1, 100 - above) == pytest.approx(
        [0.05, 0.95]
    )


def test_the_interval_of_false_alarms_covers_nine_tenths() -> None:
    """Thresholds of 60 scores, uniform so that the share above is 1 - threshold."""
    random, trials = np.random.default_rng(0), 4_000
    low, high = false_alarm_interval(60, 0.05)
    shares = np.array(
        [1 - threshold_of(random.random(60), 0.05) for _ in range(trials)]
    )
    for covered, share in ((shares < low, 0.05), (shares > high, 0.05)):
        error = np.sqrt(share * (1 - share) / trials)
        assert abs(covered.mean() - share) < 4 * error
    assert low < 0.05 < high
    assert np.diff(false_alarm_interval(6_000, 0.05)) < np.diff((low, high)) / 5

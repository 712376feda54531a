import numpy as np
import pytest

from vae.evaluation.detection import detect, threshold_of
from vae.types import UserError


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
    ("normal", "message"), [([], "0 normal images"), ([np.nan], "1 of 2 scores")]
)
def test_what_cannot_be_compared_is_refused(normal: list, message: str) -> None:
    with pytest.raises(UserError, match=message):
        detect(np.array(normal), np.array([1.0]))


@pytest.mark.parametrize(("rate", "above"), [(0.0, 0), (0.05, 5), (0.999, 99)])
def test_at_most_the_chosen_share_is_above_the_threshold(
    rate: float, above: int
) -> None:
    scores = np.random.default_rng(0).permutation(100).astype(float)
    assert (scores > threshold_of(scores, rate)).sum() == above

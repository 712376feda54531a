import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from tests.helpers import grids
from vae.evaluation.disentanglement.information import (
    mig,
    modularity,
    modularity_of_matrix,
    mutual_information,
)
from vae.evaluation.disentanglement.representation import Sample
from vae.types import Unsupported


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        (np.diag([5.0, 1.0, 2.0]), 1.0),
        (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 2 / 3),
        (np.tile(np.eye(5), 2), 1 - 1 / 9),  # one dimension for two of ten factors
        (np.tile(np.eye(5), (2, 1)), 1.0),  # two dimensions for a factor
        (np.zeros((4, 3)), 0.0),
        (np.ones((4, 3)), 0.0),
        (np.array([[2.0, 1.0, 1.0]]), 0.75),
    ],
)
def test_modularity_of_known_matrices(information: np.ndarray, expected) -> None:
    assert modularity_of_matrix(information) == pytest.approx(expected, abs=1e-12)


def test_information_is_that_of_the_histogram() -> None:
    random = np.random.default_rng(0)
    factors = random.integers((3, 7), size=(1000, 2))
    codes = np.stack([factors.sum(1), factors[:, 0], factors[:, 1]], 1) + random.normal(
        size=(1000, 3)
    )
    expected = np.empty((3, 2))
    for d, k in np.ndindex(3, 2):
        edges = np.histogram_bin_edges(codes[:, d], 20)
        expected[d, k] = mutual_info_score(
            factors[:, k], np.digitize(codes[:, d], edges[:-1])
        )
    got = mutual_information(Sample(codes, factors), 20)
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_the_gap_between_a_whole_and_a_half_known_factor() -> None:
    """Dimension 1 knows two of the four values of factor 0 from the other two: ln 2 of
    ln 4 nats. Only dimension 2 knows factor 1."""
    factors = grids.all_factors(4, 2)
    first, second = factors.T
    codes = np.stack([first, first // 2, second], axis=1).astype(float)
    assert mig(Sample(codes, factors)) == pytest.approx((0.5 + 1) / 2, abs=1e-12)
    # With two bins, dimension 0 knows no more of factor 0 than dimension 1.
    got = mig(Sample(codes, factors), num_bins=2)
    assert got == pytest.approx((0 + 1) / 2, abs=1e-12)


def test_scores_of_every_image_once_are_exact() -> None:
    source = grids.grid(3, 4, 2)
    sample = grids.whole_sample(grids.aligned(source), source)
    assert mig(sample) == pytest.approx(1, abs=1e-12)
    assert modularity(sample) == pytest.approx(1, abs=1e-12)
    sample = grids.whole_sample(grids.duplicated(source), source)
    assert mig(sample) == pytest.approx(0, abs=1e-12)
    assert modularity(sample) == pytest.approx(1, abs=1e-12)
    sample = grids.whole_sample(grids.constant(source), source)
    assert mig(sample) == 0
    assert modularity(sample) == 0


@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (np.ones((4, 1)), np.eye(4, 2, dtype=int), "a code of two dimensions"),
        (np.ones((4, 2)), np.eye(4, 1, dtype=int), "two factors of variation"),
        (
            np.ones((4, 2)),
            np.eye(4, dtype=int)[:, [0, 0]] * [[1, 0]],
            "number 1, which",
        ),
    ],
)
def test_what_has_no_score_is_refused(
    codes: np.ndarray, factors: np.ndarray, message: str
) -> None:
    with pytest.raises(Unsupported, match=message):
        mig(Sample(codes, factors))

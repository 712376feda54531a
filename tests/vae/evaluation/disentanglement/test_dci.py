import warnings

import numpy as np
import pytest

from tests.helpers import grids
from vae.evaluation.disentanglement.dci import DCI, completeness, dci, disentanglement
from vae.evaluation.disentanglement.representation import Sample, sample_codes

SOURCE = grids.grid(3, 2, 2)


@pytest.mark.parametrize(
    ("importance", "disentangled", "complete"),
    [
        (np.diag([5.0, 1.0, 2.0]), 1, 1),
        (np.zeros((10, 10)), 0, 0),
        (np.ones((4, 3)), 0, 0),
        # One dimension for two of ten factors; two of ten dimensions for a factor.
        (np.tile(np.eye(5), 2), 1 - np.log(2) / np.log(10), 1),
        (np.tile(np.eye(5), (2, 1)), 1, 1 - np.log(2) / np.log(10)),
        # A dimension without importance does not count, but is there.
        (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 1, 1),
        # A dimension counts by its importance: 3 of 4 in the first.
        (np.array([[3.0, 0.0], [0.5, 0.5]]), 3 / 4, None),
    ],
)
def test_scores_of_known_importances(
    importance: np.ndarray, disentangled: float, complete: float | None
) -> None:
    assert disentanglement(importance) == pytest.approx(disentangled, abs=1e-12)
    if complete is not None:
        assert completeness(importance) == pytest.approx(complete, abs=1e-12)


def scores(encode) -> DCI:
    random = np.random.default_rng(0)
    train, test = (sample_codes(encode, SOURCE, random, n) for n in (400, 200))
    return dci(train, test, random)


def test_aligned_duplicated_and_rotated_codes() -> None:
    best = scores(grids.aligned(SOURCE))
    assert min(best) >= 0.9
    duplicated = scores(grids.duplicated(SOURCE))
    assert duplicated.disentanglement >= 0.9
    assert duplicated.informativeness >= 0.9
    assert duplicated.completeness < best.completeness - 0.2
    rotated = scores(grids.rotated(SOURCE))
    assert rotated.disentanglement < 0.7
    assert rotated.completeness < 0.7


@pytest.mark.slow
def test_the_filters_of_warnings_stay() -> None:
    before = list(warnings.filters)
    for _ in range(5):
        scores(grids.aligned(SOURCE))
    assert list(warnings.filters) == before


def test_a_constant_code_informs_by_chance() -> None:
    got = scores(grids.constant(SOURCE))
    assert (got.disentanglement, got.completeness) == (0, 0)
    # The share in the test images of the value most frequent in training: within four
    # standard errors of 1/3, 1/2 and 1/2.
    assert got.informativeness == pytest.approx(4 / 9, abs=4 * 0.5 / np.sqrt(3 * 200))


def test_informativeness_is_measured_on_the_test_images() -> None:
    random = np.random.default_rng(0)
    train = sample_codes(grids.aligned(SOURCE), SOURCE, random, 200)
    wrong = Sample(train.codes, (train.factors + 1) % SOURCE.sizes)
    assert dci(train, wrong, random).informativeness == 0

import numpy as np
import pytest

from tests.helpers import grids
from vae.evaluation.disentanglement import representation
from vae.evaluation.disentanglement.representation import (
    Sample,
    check_sample,
    encode_points,
    sample_codes,
)
from vae.types import Unsupported

SOURCE = grids.grid(3, 4, 2)


def test_a_sample_has_the_codes_of_its_factors() -> None:
    encode, random = grids.aligned(SOURCE), np.random.default_rng(0)
    sample = sample_codes(encode, SOURCE, random, 6_000)
    np.testing.assert_array_equal(sample.codes, encode(sample.factors))
    for factor, size in zip(sample.factors.T, SOURCE.sizes, strict=True):
        counts = np.bincount(factor, minlength=size) / 6_000
        np.testing.assert_allclose(counts, 1 / size, atol=5 * 0.5 / 6_000**0.5)


@pytest.mark.parametrize("rows", [1, 10, 10_000])
def test_points_are_encoded_whole_whatever_the_block(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """Of 7 points of 2 x 3 images each, the mean code."""
    monkeypatch.setattr(representation, "ROWS_PER_BLOCK", rows)
    factors = np.random.default_rng(0).integers(0, 2, (7, 2, 3, 3))
    encode = grids.aligned(SOURCE)
    got = encode_points(encode, factors, lambda codes: codes.mean((1, 2)))
    np.testing.assert_allclose(got, encode(factors).mean((1, 2)), rtol=1e-12)


def test_codes_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(Unsupported, match="^needs finite codes"):
        encode_points(lambda factors: factors * np.nan, np.ones((2, 3)), lambda z: z)


@pytest.mark.parametrize(
    ("codes", "factors", "reason"),
    [
        (np.zeros((4, 1)), np.eye(4, 2), "a code of two dimensions"),
        (np.zeros((4, 2)), np.eye(4, 1), "two factors of variation"),
        (np.zeros((4, 2)), np.eye(4, 2)[2:], "two values of factor number 0"),
        (np.zeros((4, 2)), np.eye(4, 2)[[0, 2]], "two values of factor number 1"),
    ],
)
def test_what_has_no_score_is_refused(
    codes: np.ndarray, factors: np.ndarray, reason: str
) -> None:
    with pytest.raises(Unsupported, match=f"^needs {reason}"):
        check_sample(Sample(codes, factors.astype(int)))

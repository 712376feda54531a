import numpy as np
import pytest

from tests.helpers import grids
from vae.evaluation.disentanglement.explicitness import explicitness
from vae.evaluation.disentanglement.representation import Sample, sample_codes
from vae.types import Unsupported

SOURCE = grids.grid(3, 4, 2)


def score(encode) -> float:
    random = np.random.default_rng(0)
    train, test = (sample_codes(encode, SOURCE, random, n) for n in (1000, 500))
    return explicitness(train, test)


def test_a_linear_code_is_explicit_however_it_is_turned() -> None:
    aligned = score(grids.aligned(SOURCE))
    assert aligned >= 0.99
    # It is standardised: neither scales nor turns matter but for rounding in ranks.
    assert score(grids.rotated(SOURCE)) == pytest.approx(aligned, abs=0.01)
    got = score(lambda factors: grids.aligned(SOURCE)(factors) * [1e-3, 1, 1e3])
    assert got == pytest.approx(aligned, abs=0.01)


def test_a_product_of_factors_is_not_linear() -> None:
    """The sign of the product of two signs tells nothing of either."""
    signs = grids.grid(2, 2)

    def encode(factors: np.ndarray) -> np.ndarray:
        product = grids.aligned(signs)(factors).prod(axis=1)
        return np.stack([product, product], axis=1)

    sample = grids.whole_sample(encode, signs)
    assert explicitness(sample, sample) == pytest.approx(0.5, abs=1e-12)


def test_noise_has_half_the_area() -> None:
    noise = np.random.default_rng(1)
    got = score(lambda factors: noise.normal(size=(len(factors), 3)))
    # An area of 250 against 250 noise values has standard error 1/sqrt(12 * 125).
    assert got == pytest.approx(0.5, abs=4 / np.sqrt(12 * 125))


def test_only_values_that_both_samples_show_count() -> None:
    whole = grids.whole_sample(grids.aligned(SOURCE), SOURCE)

    def only(values: list[int]) -> Sample:
        return Sample(*(array[np.isin(whole.factors[:, 1], values)] for array in whole))

    assert explicitness(only([0, 3]), only([0, 1, 3])) == pytest.approx(1)
    assert explicitness(whole, only([0, 3])) >= 0.99
    with pytest.raises(Unsupported, match="two values of factor number 1"):
        explicitness(only([0, 1]), only([1, 2]))

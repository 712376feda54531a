import numpy as np
import pytest
from scipy import stats

from vae.data import factors as factor_data
from vae.data.factors import FactorSource

SOURCE = FactorSource(("shape", "size", "place"), (3, 2, 4), lambda factors: factors)


def test_the_last_factor_varies_fastest() -> None:
    assert factor_data.num_images(SOURCE) == 24
    index = np.arange(24)
    factors = factor_data.factors_at(SOURCE, index)
    np.testing.assert_array_equal(factors[:5, 2], [0, 1, 2, 3, 0])
    np.testing.assert_array_equal(factors[-1], [2, 1, 3])
    np.testing.assert_array_equal(factor_data.index_of(SOURCE, factors), index)


def test_values_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="invalid entry"):
        factor_data.index_of(SOURCE, np.array([[0, 2, 0]]))
    with pytest.raises(ValueError, match="out of bounds"):
        factor_data.factors_at(SOURCE, np.array([24]))


def is_uniform(index: np.ndarray, count: int) -> bool:
    """Says if numbers below `count` are uniform, at one error in 10,000."""
    return stats.chisquare(np.bincount(index, minlength=count)).pvalue > 1e-4


def test_samples_are_uniform_over_all_images() -> None:
    random = np.random.default_rng(0)
    factors = factor_data.sample(SOURCE, random, 24_000)
    assert factors.shape == (24_000, 3)
    assert is_uniform(factor_data.index_of(SOURCE, factors), 24)


def test_samples_share_one_value_of_one_factor() -> None:
    random = np.random.default_rng(0)
    batches = np.stack(
        [factor_data.sample_sharing(SOURCE, random, 2, 10) for _ in range(2000)]
    )
    np.testing.assert_array_equal(np.ptp(batches[..., 2], axis=1), 0)
    assert is_uniform(batches[:, 0, 2], 4)
    others = batches[..., 0] * 2 + batches[..., 1]
    assert is_uniform(others.ravel(), 6)

"""Small grids of factors, and codes of them whose scores are known."""

import numpy as np
from scipy import stats

from vae.data import factors as factor_data
from vae.data.factors import FactorSource
from vae.evaluation.disentanglement.representation import Encode, Sample


def grid(*sizes: int) -> FactorSource:
    names = tuple(f"factor_{k}" for k in range(len(sizes)))
    return FactorSource(names, sizes, lambda factors: factors)


def all_factors(*sizes: int) -> np.ndarray:
    """Returns the factors int [N, F] of every image once: no two of them correlate."""
    return factor_data.factors_at(grid(*sizes), np.arange(np.prod(sizes)))


def aligned(source: FactorSource) -> Encode:
    """A dimension for each factor, of mean 0 and variance 1."""
    sizes = np.array(source.sizes)
    return lambda factors: (factors - (sizes - 1) / 2) / np.sqrt((sizes**2 - 1) / 12)


def duplicated(source: FactorSource) -> Encode:
    encode = aligned(source)
    return lambda factors: np.tile(encode(factors), 2)


def constant(source: FactorSource) -> Encode:
    return lambda factors: np.ones((len(factors), len(source.sizes)))


def rotation(dim: int) -> np.ndarray:
    """A random orthogonal matrix [dim, dim]."""
    return stats.ortho_group.rvs(dim, random_state=np.random.default_rng(2))


def rotated(source: FactorSource) -> Encode:
    encode, matrix = aligned(source), rotation(len(source.sizes))
    return lambda factors: encode(factors) @ matrix


def whole_sample(encode: Encode, source: FactorSource) -> Sample:
    """Every image of a data set once."""
    factors = all_factors(*source.sizes)
    return Sample(np.asarray(encode(factors), np.float64), factors)

"""What one dimension changes."""

import numpy as np
from scipy.special import ndtri

QUANTILES = np.linspace(0.05, 0.95, 11)  # of the standard normal prior


def traverse(base: np.ndarray, dimensions: np.ndarray) -> np.ndarray:
    """Returns codes [dimensions, quantiles, D]: `base` [D] with one dimension changed
    to each quantile of the standard normal."""
    codes = np.tile(base, (len(dimensions), len(QUANTILES), 1))
    for row, dimension in enumerate(dimensions):
        codes[row, :, dimension] = ndtri(QUANTILES)
    return codes

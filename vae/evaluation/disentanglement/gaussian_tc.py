"""How far the dimensions of a code depend on each other, without ground truth."""

import numpy as np


def gaussian_total_correlation(codes: np.ndarray) -> float:
    """The total correlation, in nats, of a Gaussian fitted to codes [N, D].

    -1/2 ln det of the correlation matrix of the dimensions that vary; infinite where
    one of them is a linear function of the others. Penalties of the total correlation
    lower it for codes drawn from the posteriors, but it may rise for posterior means:
    those of a dimension that is not in use are small, but may correlate with others.

    References:
      Locatello et al. 2019, arXiv 1811.12359, sec. 5.2.
    """
    codes = codes[:, np.ptp(codes, axis=0) > 0]
    if codes.shape[1] < 2:
        return 0.0
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(codes, rowvar=False))
    if eigenvalues[0] <= len(eigenvalues) * np.finfo(eigenvalues.dtype).eps:
        return np.inf
    return float(-np.log(eigenvalues).sum() / 2)

"""Scores of the mutual information between dimensions of the code and factors."""

import numpy as np
from scipy import stats

from vae.evaluation.disentanglement.representation import Sample, check_sample


def mig(sample: Sample, *, num_bins: int = 20) -> float:
    """The mutual information gap: by how much the dimension that tells most of a factor
    tells more than the next, in units of the factor's entropy; its mean over factors.

    References:
      Chen et al. 2018, arXiv 1802.04942, eq. 6, with histograms of the codes as in
      Locatello et al. 2019, arXiv 1811.12359.
    """
    second, first = np.sort(mutual_information(sample, num_bins), axis=0)[-2:]
    entropies = np.array([entropy(column) for column in sample.factors.T])
    return float(np.mean((first - second) / entropies))


def modularity(sample: Sample, *, num_bins: int = 20) -> float:
    """The modularity of the mutual information; see `modularity_of_matrix`.

    References:
      Ridgeway & Mozer 2018, arXiv 1802.05312, sec. 3, with histograms of the codes as
      in Locatello et al. 2019, arXiv 1811.12359.
    """
    return modularity_of_matrix(mutual_information(sample, num_bins))


def modularity_of_matrix(information: np.ndarray) -> float:
    """How far each dimension tells of one factor alone, from mutual information [D, F]:
    1 less the mean square of the other factors' in units of the square of the largest.
    A dimension that tells of no factor has 0; returns the mean over dimensions.

    References:
      Ridgeway & Mozer 2018, arXiv 1802.05312, eq. 2.
    """
    squares = information**2
    largest = squares.max(axis=1)
    others = (squares.sum(axis=1) - largest) / (squares.shape[1] - 1)
    deviation = np.divide(others, largest, out=np.ones_like(others), where=largest > 0)
    return float(np.mean(1 - deviation))


def mutual_information(sample: Sample, num_bins: int) -> np.ndarray:
    """Returns the mutual information [D, F], in nats, between each dimension, by its
    histogram, and each factor.

    Raises:
      Unsupported: there are too few dimensions, factors or values.
    """
    check_sample(sample)
    binned = np.stack([_histogram_bins(z, num_bins) for z in sample.codes.T], axis=-1)
    num_values = sample.factors.max() + 1
    joint = binned[:, :, None] * num_values + sample.factors[:, None]  # [N, D, F]
    joint_entropies = np.apply_along_axis(entropy, 0, joint)
    code_entropies = np.apply_along_axis(entropy, 0, binned)
    factor_entropies = np.apply_along_axis(entropy, 0, sample.factors)
    return np.maximum(code_entropies[:, None] + factor_entropies - joint_entropies, 0)


def entropy(values: np.ndarray) -> float:
    """Returns the entropy of discrete values [N] as they are distributed, in nats."""
    _, counts = np.unique(values, return_counts=True)
    return float(stats.entropy(counts))


def _histogram_bins(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Returns in which of equal bins between the extremes values [N] lie, int [N]."""
    edges = np.linspace(values.min(), values.max(), num_bins + 1)
    return np.digitize(values, edges[1:-1])

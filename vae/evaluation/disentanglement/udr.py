"""Unsupervised disentanglement ranking: a model is good if others agree with it.

Two models agree if their informative dimensions are alike one to one; a model's score
is the median of its agreement with every other.

References:
  Duan et al. 2020, arXiv 1905.12614, sec. 4.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats
from sklearn.linear_model import Lasso

from vae.types import Unsupported

INFORMATIVE_KL = 0.01  # nats
LASSO_PENALTY = 0.1

# (another model's codes [N, E], a model's codes [N, D]), both standardised -> [E, D]
Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]


def udr_spearman(codes: np.ndarray, kl: np.ndarray) -> np.ndarray:
    """Scores models, with the rank correlation of dimensions as their similarity.

    Args:
      codes: [M, N, D], of the same images by M models.
      kl: [M, D], the rate of each dimension, in nats.

    Returns:
      The score of each model [M], from 0 to 1 where all agree one to one.

    Raises:
      Unsupported: there are fewer than two models.
    """
    return _median_agreement(stats.rankdata(codes, axis=1), kl, _correlations)


def udr_lasso(codes: np.ndarray, kl: np.ndarray) -> np.ndarray:
    """As `udr_spearman`, but dimensions are similar by the weight that a Lasso
    regression gives those of the other model to predict this model's."""
    return _median_agreement(codes, kl, _lasso_weights)


def _median_agreement(
    codes: np.ndarray, kl: np.ndarray, similarity: Similarity
) -> np.ndarray:
    if len(codes) < 2:
        raise Unsupported("needs two models or more, to see how they agree")
    pairs = zip(_standardise(codes), kl, strict=True)
    informative = [z[:, rate > INFORMATIVE_KL] for z, rate in pairs]
    scores = np.empty(len(codes))
    for i, own in enumerate(informative):
        others = informative[:i] + informative[i + 1 :]
        scores[i] = np.median([agreement(similarity(other, own)) for other in others])
    return scores


def agreement(similarity: np.ndarray) -> float:
    """Returns how far dimensions of two models are alike one to one, from their
    similarities [E, D]: the mean over the dimensions of both, each with the same weight
    whichever model has more of them, of the square of the largest similarity in units
    of their sum; 0 if either model has no dimension.

    References:
      Duan et al. 2020, arXiv 1905.12614, eq. 3.
    """
    if not similarity.size:
        return 0.0
    strengths = []
    for rows in (similarity, similarity.T):
        total = rows.sum(axis=1)
        largest = rows.max(axis=1) ** 2
        strengths.append(np.divide(largest, total, out=0 * total, where=total > 0))
    return float(np.concatenate(strengths).mean())


def _correlations(other: np.ndarray, own: np.ndarray) -> np.ndarray:
    return np.abs(other.T @ own) / len(own)


def _lasso_weights(other: np.ndarray, own: np.ndarray) -> np.ndarray:
    if not own.size or not other.size:
        return np.zeros((other.shape[1], own.shape[1]))
    weights = Lasso(alpha=LASSO_PENALTY).fit(other, own).coef_
    return np.abs(weights).reshape(own.shape[1], other.shape[1]).T


def _standardise(codes: np.ndarray) -> np.ndarray:
    """Gives codes [M, N, D] mean 0 and variance 1 over N; 0 where they do not vary."""
    centred = codes - codes.mean(axis=1, keepdims=True)
    scale = centred.std(axis=1, keepdims=True)
    varies = np.ptp(codes, axis=1, keepdims=True) > 0
    return np.divide(centred, scale, out=0 * centred, where=varies)

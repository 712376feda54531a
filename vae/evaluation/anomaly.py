"""Scores by which a trained model tells anomalies; all are higher for anomalies.

In nats, of an image x:
  neg_elbo: -ELBO.
  neg_bound: minus the importance-weighted bound.
  reconstruction: -log E_q p(x | z), of An & Cho's reconstruction probability.
  distortion: -E_q log p(x | z).
  rate: KL(q(z | x) || p(z)).
  atypicality: how far `neg_bound` is from its mean over training images.
  complexity_ratio: `neg_bound` less the length of x as PNG.
  regret: likelihood regret, see `regret.py`.
  ppca: -log p(x) under probabilistic PCA of the training images, scaled to [0, 1].

References:
  An & Cho 2015, SNU Data Mining Center technical report 2015-2, algorithm 4; Nalisnick
  et al. 2019, arXiv 1906.02994, eq. 5, for a single image; Serra et al. 2020,
  arXiv 1909.11480, eq. 2; Tipping & Bishop 1999, probabilistic PCA.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from vae.data.preprocess import to_unit
from vae.evaluation.bounds import ImageBounds

# Variance of a byte's rounding error, of pixels in [0, 1].
MIN_NOISE = 1 / (12 * 255**2)


def scores_of_bounds(
    bounds: ImageBounds, *, typical_bound: float, code_lengths: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the scores [N] that follow from an image's bounds.

    Args:
      bounds: of N images.
      typical_bound: the mean of log L_K over training images.
      code_lengths: of the images [N], from `data.png.png_lengths`.
    """
    neg_bound = -np.asarray(bounds.log_likelihood, np.float64)
    rate = np.broadcast_to(bounds.rate, neg_bound.shape)
    return {
        "neg_elbo": np.asarray(bounds.distortion + rate),
        "neg_bound": neg_bound,
        "reconstruction": -np.asarray(bounds.reconstruction_log_prob),
        "distortion": np.asarray(bounds.distortion),
        "rate": rate,
        "atypicality": np.abs(neg_bound + typical_bound),
        "complexity_ratio": neg_bound - code_lengths,
    }


def fit_ppca(
    images: np.ndarray, num_components: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Fits probabilistic PCA to stored images [N, ...], scaled to [0, 1].

    At most N - 1 and pixels - 1 components are used. The noise variance is at least
    `MIN_NOISE`: where the training images lie in a plane, an image outside of it is far
    less likely than they are, but by a finite number of nats.

    Returns:
      What maps images [M, ...] to -log p(x) [M], in nats.

    References:
      Tipping & Bishop 1999, eq. 3 and 8. scikit-learn's `score_samples` is the same,
      but takes memory of pixels squared, and for fewer images than pixels another noise
      variance.
    """
    from sklearn.decomposition import PCA  # takes a second to import

    def flat(images: np.ndarray) -> np.ndarray:
        return to_unit(images).reshape(len(images), -1).astype(np.float64)

    train = flat(images)
    count, pixels = train.shape
    rank = max(0, min(num_components, count - 1, pixels - 1))
    mean, variance = train.mean(0), train.var(0, ddof=min(1, count - 1)).sum()
    directions, variances = np.zeros((0, pixels)), np.zeros(0)
    if rank:
        solver = "covariance_eigh" if count > pixels else "full"
        model: Any = PCA(rank, svd_solver=solver).fit(train)
        directions, variances = model.components_, model.explained_variance_
    noise = max(MIN_NOISE, (variance - variances.sum()) / (pixels - rank))
    variances = np.maximum(variances, noise)
    log_volume = (
        pixels * math.log(2 * math.pi)
        + np.log(variances).sum()
        + (pixels - rank) * math.log(noise)
    )

    def score(images: np.ndarray) -> np.ndarray:
        centered = flat(images) - mean
        along = centered @ directions.T
        outside = np.maximum((centered**2).sum(1) - (along**2).sum(1), 0)
        return 0.5 * (log_volume + (along**2 / variances).sum(1) + outside / noise)

    return score

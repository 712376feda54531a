"""Other detectors of anomalies, to compare a model's scores with.

They see images scaled to [0, 1], and vectors as the model does. Scores are higher for
anomalies.
"""

import hashlib
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.linalg

from vae.data.preprocess import to_unit
from vae.data.splits import evenly_spaced

MOST = 10_000  # training examples, but of pPCA
BLOCK = 4096  # examples scored at once
NEIGHBOURS = 5
# Variance of a byte's rounding error, of pixels in [0, 1].
MIN_NOISE = 1 / (12 * 255**2)

KEPT = 4  # data sets whose scores are kept

Score = Callable[[np.ndarray], np.ndarray]  # stored images [M, ...] -> scores [M]
Scores = dict[str, np.ndarray]  # [M] each, by name; nan where one was not asked for


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
      variance; its singular values do not converge for some data.
    """
    train = _flat(images)
    count, pixels = train.shape
    rank = max(0, min(num_components, count - 1, pixels - 1))
    mean, variance = train.mean(0), train.var(0, ddof=min(1, count - 1)).sum()
    directions, variances = _principal(train - mean, rank)
    noise = max(MIN_NOISE, (variance - variances.sum()) / (pixels - rank))
    variances = np.maximum(variances, noise)
    log_volume = (
        pixels * math.log(2 * math.pi)
        + np.log(variances).sum()
        + (pixels - rank) * math.log(noise)
    )

    def score(x: np.ndarray) -> np.ndarray:
        centered = x - mean
        along = centered @ directions.T
        outside = np.maximum((centered**2).sum(1) - (along**2).sum(1), 0)
        return 0.5 * (log_volume + (along**2 / variances).sum(1) + outside / noise)

    return _in_blocks(score)


def _principal(centered: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first principal directions [rank, P] of centered rows [N, P] and the
    variances [rank] along them, by the smaller of the two matrices of products."""
    count, pixels = centered.shape
    if rank == 0:
        return np.zeros((0, pixels)), np.zeros(0)
    is_wide = count < pixels
    products = centered @ centered.T if is_wide else centered.T @ centered
    first = len(products) - rank, len(products) - 1
    values, vectors = scipy.linalg.eigh(products, subset_by_index=first)
    # What is below is rounding: no variance, and of few rows no direction.
    least = len(products) * np.finfo(float).eps * values.max()
    values = np.where(values > least, values, 0)
    directions = vectors.T
    if is_wide:
        lengths = np.sqrt(np.where(values > 0, values, np.inf))
        directions = (vectors / lengths).T @ centered
    return directions, values / (count - 1)


def fit_knn(images: np.ndarray) -> Score:
    """Fits the distance to the fifth nearest of the training images [N, ...].

    References:
      Ramaswamy et al. 2000, Efficient Algorithms for Mining Outliers.
    """
    from sklearn.neighbors import NearestNeighbors

    train = _some(images)
    search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(train))).fit(train)
    return _in_blocks(lambda x: search.kneighbors(x)[0][:, -1])


def fit_isolation_forest(images: np.ndarray) -> Score:
    """Fits 100 trees of 256 images each (Liu et al. 2008, Isolation Forest)."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(random_state=0).fit(_some(images))
    return _in_blocks(lambda x: -forest.score_samples(x))


def fit_one_class_svm(images: np.ndarray) -> Score:
    """Fits a one-class SVM with scikit-learn's defaults: radial kernel, nu = 1/2
    (Scholkopf et al. 2001)."""
    from sklearn.svm import OneClassSVM

    machine: Any = OneClassSVM().fit(_some(images))
    return _in_blocks(lambda x: -machine.score_samples(x))


def fit_lof(images: np.ndarray) -> Score:
    """Fits the local outlier factor, of 20 neighbours (Breunig et al. 2000)."""
    from sklearn.neighbors import LocalOutlierFactor

    factor = LocalOutlierFactor(novelty=True).fit(_some(images))
    return _in_blocks(lambda x: -factor.score_samples(x))


FITTED: dict[str, Callable[[np.ndarray], Score]] = {
    "knn": fit_knn,
    "isolation_forest": fit_isolation_forest,
    "one_class_svm": fit_one_class_svm,
    "lof": fit_lof,
}


_SCORES: dict[bytes, list[Scores]] = {}
_LOCK = threading.Lock()


def score_by_others(
    train: np.ndarray,
    splits: Sequence[np.ndarray],
    ppca_components: int,
    *,
    baselines: bool,
) -> list[Scores]:
    """Returns the scores of stored images [M, ...] of each split by methods that are
    fitted to training images [N, ...]: pPCA, and the `baselines` too if asked for.

    They depend on the data alone. So a process computes them once for runs with the
    same data, as of other seeds, and keeps those of the last `KEPT` data sets.
    """
    digest = hashlib.sha256(repr((ppca_components, baselines)).encode())
    for array in (train, *splits):
        digest.update(repr((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).data)
    with _LOCK:  # runs of a sweep may ask at the same time
        key = digest.digest()
        if key not in _SCORES:
            methods = {"ppca": fit_ppca(train, ppca_components)}
            if baselines:
                methods |= {name: fit(train) for name, fit in FITTED.items()}
            while len(_SCORES) >= KEPT:
                del _SCORES[next(iter(_SCORES))]
            _SCORES[key] = [
                {name: score(images) for name, score in methods.items()}
                for images in splits
            ]
        return [dict(scores) for scores in _SCORES[key]]


def _flat(images: np.ndarray) -> np.ndarray:
    return to_unit(images).reshape(len(images), -1).astype(np.float64)


def _some(images: np.ndarray) -> np.ndarray:
    return _flat(images[evenly_spaced(len(images), min(len(images), MOST))])


def _in_blocks(score: Score) -> Score:
    """Returns a score of stored images, computed a block at a time."""

    def of_all(images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), BLOCK)
        return np.concatenate([score(_flat(images[i : i + BLOCK])) for i in starts])

    return of_all

"""Is generation complete? What is generated beside what is real, by features and by
classes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from vae.data.preprocess import to_unit
from vae.types import Array, Unsupported

MEBIBYTES = 128  # of distances held at once
# Distances are roots of differences of dot products, and those of equal points come out
# as some 1e-8 of their norm: points closer than this share of it are equal.
ROUNDING = 1e-6
MISSING_SHARE = 0.25  # of its share in the data: a class generated less is missing


class PRDC(NamedTuple):
    """Four scores, by balls around points that reach to their k-th neighbours."""

    precision: float  # the share of fake points in some real point's ball
    recall: float  # the share of real points in some fake point's ball
    density: float  # real points' balls that a fake point is in, mean, over k; 0 to N/k
    coverage: float  # the share of real points with some fake point in their ball


class ClassComparison(NamedTuple):
    """What classes are generated, beside those of the data."""

    real_counts: np.ndarray  # int [C]
    fake_counts: np.ndarray  # int [C]
    statistic: float  # chi-square; no continuity correction
    p_value: float  # of the hypothesis that both have one distribution
    missing: tuple[int, ...]  # classes generated under `MISSING_SHARE` of their share


def precision_recall_density_coverage(
    real: Array, fake: Array, num_neighbours: int = 5
) -> PRDC:
    """Compares generated features [M, F] with real ones [N, F], by nearest neighbours.

    Neighbours are of the point's own set, and balls contain their surface. Of two sets
    of one distribution and size, density is 1 in the mean and coverage about 1 - 2^-k;
    precision and recall are far below 1 in many dimensions.

    References:
      Kynkaanniemi et al. 2019, arXiv 1904.06991, eq. 1 and 2, for precision and
      recall; Naeem et al. 2020, arXiv 2002.09797, sec. 3, for density and coverage.

    Raises:
      Unsupported: widths differ, there are too few points, or some are not finite.
    """
    from sklearn.metrics import pairwise_distances_chunked  # takes a second to import

    real, fake = _centred(real, fake, least=num_neighbours + 1)
    real_radii, fake_radii = (_radii(points, num_neighbours) for points in (real, fake))
    start, recalled, covered = 0, 0, 0
    balls = np.zeros(len(fake), np.int64)  # around real points that hold each fake one
    blocks = pairwise_distances_chunked(real, fake, working_memory=MEBIBYTES)
    for distances in blocks:  # [n, M], of the next real points
        held = distances <= real_radii[start : start + len(distances), None]
        balls += held.sum(axis=0)
        covered += held.any(axis=1).sum()
        recalled += (distances <= fake_radii).any(axis=1).sum()
        start += len(distances)
    return PRDC(
        precision=float((balls > 0).mean()),
        recall=float(recalled / len(real)),
        density=float(balls.mean() / num_neighbours),
        coverage=float(covered / len(real)),
    )


def _radii(points: np.ndarray, num_neighbours: int) -> np.ndarray:
    """Returns the radius [N] of the ball around each of points [N, F]."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=num_neighbours, algorithm="brute").fit(points)
    distances, _ = search.kneighbors()  # without an argument: not the point itself
    return distances[:, -1] + ROUNDING * np.linalg.norm(points, axis=1)


def frechet_distance(real: Array, fake: Array) -> float:
    """Returns the squared Frechet distance of two Gaussians, fitted to features [N, F]
    and [M, F] by their means and unbiased covariances. Fewer points give
    larger values.

    References:
      Heusel et al. 2017, arXiv 1706.08500, eq. 6.

    Raises:
      Unsupported: widths differ, there are fewer than 2 points, or some are not finite.
    """
    real, fake = _centred(real, fake, least=2)
    return frechet_between_gaussians(
        *_mean_and_covariance(real), *_mean_and_covariance(fake)
    )


def _mean_and_covariance(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return points.mean(axis=0), np.atleast_2d(np.cov(points, rowvar=False))


def frechet_between_gaussians(
    mean: np.ndarray,
    covariance: np.ndarray,
    other_mean: np.ndarray,
    other_covariance: np.ndarray,
) -> float:
    """Returns the squared Frechet distance of two Gaussians with means [F] and
    covariances [F, F], which may be singular.

    |m - m'|^2 + tr(S + S' - 2 (S S')^1/2), where the trace of the last root is the sum
    of the singular values of S^1/2 S'^1/2.

    References:
      Dowson & Landau 1982, The Frechet distance between multivariate normal
      distributions (Journal of Multivariate Analysis 12).
    """
    root, other_root = _root(covariance), _root(other_covariance)
    overlap = np.linalg.norm(root @ other_root, "nuc")
    spread = np.trace(covariance) + np.trace(other_covariance) - 2 * overlap
    # Rounding may take the distance of equal Gaussians below zero.
    return float(max(0.0, ((mean - other_mean) ** 2).sum() + spread))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Returns the symmetric root of a covariance [F, F]."""
    values, vectors = np.linalg.eigh(covariance)
    # The root of what rounding leaves of a zero, 1e-16, would be 1e-8.
    noise = len(values) * np.finfo(values.dtype).eps * values[-1]
    scales = np.sqrt(np.where(values > noise, values, 0))
    return (vectors * scales) @ vectors.T


def compare_classes(
    real_labels: Array, fake_labels: Array, num_classes: int
) -> ClassComparison:
    """Compares the classes of generated images, labels [M] in 0..`num_classes` - 1,
    with those of real ones, labels [N].

    The test is Pearson's chi-square of a table of two rows; a class that occurs in
    neither set is left out.

    Raises:
      Unsupported: a set is empty, or a label is not in that range.
    """
    from scipy.stats import chi2_contingency

    table = np.stack(
        [
            _count(labels, num_classes, which)
            for labels, which in ((real_labels, "real"), (fake_labels, "generated"))
        ]
    )
    occurring = table[:, table.sum(axis=0) > 0]
    test: Any = chi2_contingency(occurring, correction=False)
    real_shares, fake_shares = table / table.sum(axis=1, keepdims=True)
    missing = np.flatnonzero(fake_shares < MISSING_SHARE * real_shares)
    return ClassComparison(
        real_counts=table[0],
        fake_counts=table[1],
        statistic=float(test.statistic),
        p_value=float(test.pvalue),
        missing=tuple(missing.tolist()),
    )


def _count(labels: Array, num_classes: int, which: str) -> np.ndarray:
    """Counts labels [N] of each class, int [C]."""
    labels = np.asarray(labels)
    if not len(labels):
        raise Unsupported(f"needs {which} labels")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise Unsupported(
            f"needs {which} labels from 0 to {num_classes - 1}: they range from "
            f"{labels.min()} to {labels.max()}"
        )
    return np.bincount(labels, minlength=num_classes)


def fit_principal_components(
    images: Array, num_components: int
) -> Callable[[Array], np.ndarray]:
    """Returns images [M, ...] -> features [M, `num_components`]: the principal
    components of these images [N, ...], as stored, whose pixels become float64.

    Raises:
      Unsupported: there are fewer images, or pixels, than components.
    """
    from sklearn.decomposition import PCA

    def flatten(images: Array) -> np.ndarray:
        return to_unit(images).reshape(len(images), -1).astype(np.float64)

    if not 0 < num_components <= min(len(images), np.prod(images.shape[1:])):
        raise Unsupported(
            f"needs {num_components} images and values of each or more: shape "
            f"{images.shape} is given"
        )
    # Of many pixels the solver is a random one.
    components = PCA(num_components, random_state=0).fit(flatten(images))
    return lambda images: components.transform(flatten(images))


def _centred(real: Array, fake: Array, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns both sets of features in float64, less the mean of the real ones, by
    which distances are more exact."""
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise Unsupported(
            f"needs features [N, F] and [M, F]: real ones have shape {real.shape}, "
            f"generated ones {fake.shape}"
        )
    for points, which in ((real, "real"), (fake, "generated")):
        if len(points) < least:
            raise Unsupported(
                f"needs {least} {which} points or more: {len(points)} are given"
            )
        if not np.isfinite(points).all():
            raise Unsupported(f"needs finite features of the {which} points")
    mean = real.mean(axis=0)
    return real - mean, fake - mean

"""Scores that tell from codes of images alike in one factor which factor that is."""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from vae.data import factors as factor_data
from vae.data.factors import FactorSource
from vae.evaluation.disentanglement.representation import (
    Encode,
    encode_points,
    sample_codes,
)
from vae.types import Unsupported

COLLAPSED_SCALE = 0.05  # the standard deviation below which a dimension has no vote
MAX_ITERATIONS = 1000  # the regression is convex: this only has to be enough


class Points(NamedTuple):
    """What a classifier is fitted to and tested on."""

    num_train: int
    num_test: int
    batch_size: int  # images, or pairs of them, of which a point is made


def beta_vae(
    encode: Encode,
    source: FactorSource,
    random: np.random.Generator,
    points: Points,
) -> float:
    """How often softmax regression tells the factor that pairs of images share.

    A point is the mean of |z1 - z2| over `batch_size` pairs, each of which has a value
    of its own of the factor. The regression is scikit-learn's of today: a softmax. When
    Locatello et al. measured, its default was one of each factor against the others.

    References:
      Higgins et al. 2017, beta-VAE (ICLR), sec. 3; Locatello et al. 2019,
      arXiv 1811.12359, for the numbers of points and of pairs.

    Raises:
      Unsupported: some factor was never shared by the training points.
    """
    (seen, shared), (test_seen, test_shared) = (
        _mean_differences(encode, source, random, count, points.batch_size)
        for count in (points.num_train, points.num_test)
    )
    if np.unique(shared).size < len(source.sizes):
        raise Unsupported(
            f"needs more than {points.num_train} training points, which do not share "
            f"each of the {len(source.sizes)} factors at least once"
        )
    model = LogisticRegression(max_iter=MAX_ITERATIONS).fit(seen, shared)
    return float(np.mean(model.predict(test_seen) == test_shared))


def _mean_differences(
    encode: Encode,
    source: FactorSource,
    random: np.random.Generator,
    count: int,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns points [count, D] and the factors that their pairs share, int [count]."""
    num_factors = len(source.sizes)
    shared = random.integers(num_factors, size=count)
    factors = factor_data.sample(source, random, count * 2 * batch_size)
    factors = factors.reshape(count, 2, batch_size, num_factors)
    points = np.arange(count)
    factors[points, 1, :, shared] = factors[points, 0, :, shared]

    def mean_difference(codes: np.ndarray) -> np.ndarray:
        return np.abs(codes[:, 0] - codes[:, 1]).mean(axis=1)

    return encode_points(encode, factors, mean_difference), shared


def factor_vae(
    encode: Encode,
    source: FactorSource,
    random: np.random.Generator,
    points: Points,
) -> float:
    """How often the dimension that varies least tells the factor that images share.

    A point is a batch whose images share one value of a factor. Its vote is the
    dimension with the smallest variance in it, in units of the variance over
    `num_train` images of all kinds; a dimension tells the factor that most of its
    training votes were for. 0 if all dimensions have collapsed.

    References:
      Kim & Mnih 2018, arXiv 1802.05983, sec. 4; Locatello et al. 2019,
      arXiv 1811.12359, for the numbers of points and images.
    """
    variance = sample_codes(encode, source, random, points.num_train).codes.var(
        0, ddof=1
    )
    active = np.flatnonzero(np.sqrt(variance) >= COLLAPSED_SCALE)
    if not active.size:
        return 0.0
    train_votes, test_votes = (
        _votes(encode, source, random, count, points.batch_size, active, variance)
        for count in (points.num_train, points.num_test)
    )
    told = train_votes.argmax(axis=0)  # [D]
    return float(test_votes[told, np.arange(len(told))].sum() / points.num_test)


def _votes(
    encode: Encode,
    source: FactorSource,
    random: np.random.Generator,
    count: int,
    batch_size: int,
    active: np.ndarray,
    variance: np.ndarray,
) -> np.ndarray:
    """Counts the votes [F, D] of `count` points, by shared factor and by dimension."""
    shared = random.integers(len(source.sizes), size=count)
    factors = np.stack(
        [factor_data.sample_sharing(source, random, k, batch_size) for k in shared]
    )
    local = encode_points(encode, factors, lambda codes: codes.var(axis=1, ddof=1))
    least = active[np.argmin(local[:, active] / variance[active], axis=1)]
    votes = np.zeros((len(source.sizes), len(variance)), np.int64)
    np.add.at(votes, (shared, least), 1)
    return votes

"""Disentanglement, completeness and informativeness, from trees that predict factors.

References:
  Eastwood & Williams 2018, A framework for the quantitative evaluation of disentangled
  representations (ICLR), sec. 2, with the trees of Locatello et al. 2019,
  arXiv 1811.12359.
"""

import functools
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier

from vae.evaluation.disentanglement.representation import Sample, check_sample


class DCI(NamedTuple):
    """Three scores in 0..1."""

    disentanglement: float  # does a dimension tell of one factor only?
    completeness: float  # does one dimension only tell of a factor?
    informativeness: float  # the accuracy of the prediction of a factor


def dci(train: Sample, test: Sample, random: np.random.Generator) -> DCI:
    """Scores the importance of the dimensions in trees that are fitted to each factor.

    Args:
      train: what trees are fitted to.
      test: what informativeness is measured on.
      random: gives each factor's trees a seed.

    Raises:
      Unsupported: there are too few dimensions, factors or values.
    """
    check_sample(train)
    seeds = random.integers(2**32, size=train.factors.shape[1]).tolist()
    models = [GradientBoostingClassifier(random_state=seed) for seed in seeds]
    fit = functools.partial(_fit, train=train, test=test)
    # As it fits, scikit-learn sets filters of warnings, which are the process's: they
    # are put back after all threads.
    with warnings.catch_warnings(), ThreadPoolExecutor() as threads:
        fits = threads.map(fit, models, range(len(models)))
        importances, accuracies = zip(*fits, strict=True)
    importance = np.stack(importances, axis=-1)  # [D, F]
    return DCI(
        disentanglement=disentanglement(importance),
        completeness=completeness(importance),
        informativeness=float(np.mean(accuracies)),
    )


def _fit(
    model: Any, factor: int, train: Sample, test: Sample
) -> tuple[np.ndarray, float]:
    """Returns the importance [D] of each dimension for a factor, and the accuracy."""
    model.fit(train.codes, train.factors[:, factor])
    correct = model.predict(test.codes) == test.factors[:, factor]
    return model.feature_importances_, float(correct.mean())


def disentanglement(importance: np.ndarray) -> float:
    """How far each dimension matters to one factor alone, from importance [D, F]: 1
    less the entropy over factors, in units of its maximum; the mean over dimensions,
    weighted by their importance."""
    totals = importance.sum(axis=1)
    if not totals.any():
        return 0.0
    # A dimension without importance has no distribution, and no weight either.
    shares = importance[totals > 0] / totals[totals > 0, None]
    entropies = stats.entropy(shares, base=importance.shape[1], axis=1)
    return float(np.average(1 - entropies, weights=totals[totals > 0]))


def completeness(importance: np.ndarray) -> float:
    """How far one dimension alone matters to each factor: `disentanglement` with
    dimensions and factors interchanged."""
    return disentanglement(importance.T)

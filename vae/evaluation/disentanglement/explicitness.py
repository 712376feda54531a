"""Explicitness: how well linear classifiers find each value of each factor."""

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae.evaluation.disentanglement.representation import Sample, check_sample
from vae.types import Unsupported


def explicitness(train: Sample, test: Sample) -> float:
    """The area under the ROC curve of a logistic regression for each value of a factor
    against its other values; its mean over the values that both samples show, and over
    factors.

    The probabilities of a factor's values are normalised to sum to 1, as Locatello et
    al. do: without, a value in the middle of a factor that a dimension follows in order
    could not be told from both ends at once.

    References:
      Ridgeway & Mozer 2018, arXiv 1802.05312, sec. 3; Locatello et al. 2019,
      arXiv 1811.12359.

    Raises:
      Unsupported: there are too few dimensions or factors, or values of one.
    """
    check_sample(train)
    areas = [_mean_area(train, test, k) for k in range(train.factors.shape[1])]
    return float(np.mean(areas))


def _mean_area(train: Sample, test: Sample, factor: int) -> float:
    values, test_values = train.factors[:, factor], test.factors[:, factor]
    known = np.isin(test_values, values)  # few images may not show all values
    if np.unique(test_values[known]).size < 2:
        raise Unsupported(
            f"needs two values of factor number {factor} in both the {len(values)} "
            f"training and the {len(test_values)} test images"
        )
    # liblinear was scikit-learn's default when Locatello et al. measured.
    regression = OneVsRestClassifier(LogisticRegression(solver="liblinear"))
    model: Any = make_pipeline(StandardScaler(), regression).fit(train.codes, values)
    probabilities = model.predict_proba(test.codes[known])
    areas = [
        roc_auc_score(test_values[known] == value, probability)
        for value, probability in zip(model.classes_, probabilities.T, strict=True)
        if value in test_values
    ]
    return float(np.mean(areas))

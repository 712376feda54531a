"""The separated attribute predictability score (SAP)."""

import numpy as np
from sklearn.svm import LinearSVC

from vae.evaluation.disentanglement.codes import Sample, check_sample


def sap(train: Sample, test: Sample, *, continuous: bool = False) -> float:
    """By how much the dimension that predicts a factor best does so better than the
    next; its mean over factors.

    What counts is the accuracy, in `test`, of a linear support vector machine fitted to
    one dimension of `train`; or, if the factors are `continuous`, the squared
    correlation in `train`.

    References:
      Kumar et al. 2018, arXiv 1711.00848, sec. 3; Locatello et al. 2019,
      arXiv 1811.12359, for the machine.

    Raises:
      UserError: there are too few dimensions, factors or values.
    """
    check_sample(train)
    scores = _squared_correlations(train) if continuous else _accuracies(train, test)
    second, first = np.sort(scores, axis=0)[-2:]
    return float(np.mean(first - second))


def _accuracies(train: Sample, test: Sample) -> np.ndarray:
    """Returns the test accuracies [D, F] of predicting factors from dimensions."""
    num_dimensions, num_factors = train.codes.shape[1], train.factors.shape[1]
    accuracies = np.empty((num_dimensions, num_factors))
    for d, k in np.ndindex(accuracies.shape):
        # "auto" solves the primal problem of so few dimensions: nothing is random.
        model = LinearSVC(C=0.01, class_weight="balanced", dual="auto")
        model.fit(train.codes[:, [d]], train.factors[:, k])
        predicted = model.predict(test.codes[:, [d]])
        accuracies[d, k] = np.mean(predicted == test.factors[:, k])
    return accuracies


def _squared_correlations(sample: Sample) -> np.ndarray:
    """Returns the squared correlations [D, F] of dimensions and factors; 0 of a
    dimension that does not vary."""
    codes = sample.codes - sample.codes.mean(axis=0)
    factors = sample.factors - sample.factors.mean(axis=0)
    variances = np.outer((codes**2).sum(axis=0), (factors**2).sum(axis=0))
    squares = (codes.T @ factors) ** 2
    zeros = np.zeros_like(squares)
    return np.divide(squares, variances, out=zeros, where=variances > 0)

"""The separated attribute predictability score (SAP)."""

import numpy as np
from sklearn.svm import LinearSVC

from vae.evaluation.disentanglement.representation import Sample, check_sample


def sap(train: Sample, test: Sample) -> float:
    """By how much the dimension that predicts a factor best does so better than the
    next; its mean over factors.

    What counts is the accuracy, in `test`, of a linear support vector machine fitted to
    one dimension of `train`.

    References:
      Kumar et al. 2018, arXiv 1711.00848, sec. 3; Locatello et al. 2019,
      arXiv 1811.12359, for the machine.

    Raises:
      Unsupported: there are too few dimensions, factors or values.
    """
    check_sample(train)
    second, first = np.sort(_accuracies(train, test), axis=0)[-2:]
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

"""How well a score tells anomalies from normal images."""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from vae.types import Unsupported

RECALL = 0.95  # of anomalies, at which false alarms are counted


class Detection(NamedTuple):
    """How well a score, which is higher for anomalies, detects them."""

    auroc: float  # the probability that an anomaly scores higher than a normal image
    auprc: float  # average precision; anomalies are the positive class
    fpr95: float  # share of normal images flagged where 95% of the anomalies are


def detect(normal: np.ndarray, anomalous: np.ndarray) -> Detection:
    """Compares the scores of normal images [N] with those of anomalies [M].

    `auprc` depends on the share of anomalies, M / (N + M), and counts images of equal
    scores as flagged together. The others do not depend on it, and count these images
    as in random order, in the mean: two sets of the same scores have an `auroc` of .5
    and an `fpr95` of .95, as they would without ties.

    Raises:
      Unsupported: there are no normal images or no anomalies, a score is nan, or those
        of all normal images are infinite.
    """
    if not (len(normal) and len(anomalous)):
        raise Unsupported(
            f"needs normal images and anomalies: {len(normal)} and {len(anomalous)} "
            "are given"
        )
    scores = np.concatenate([normal, anomalous])
    if np.isnan(scores).any():
        nans = np.isnan(scores).sum()
        raise Unsupported(f"needs scores: {nans} of {len(scores)} are nan")
    if not np.isfinite(normal).any():
        raise Unsupported("needs finite scores of normal images")
    from sklearn import metrics  # takes a second to import

    is_anomaly = np.repeat([False, True], [len(normal), len(anomalous)])
    finite = np.nan_to_num(scores, posinf=np.finfo(scores.dtype).max)
    return Detection(
        auroc=float(metrics.roc_auc_score(is_anomaly, finite)),
        auprc=float(metrics.average_precision_score(is_anomaly, finite)),
        fpr95=_false_alarms(normal, anomalous),
    )


def _false_alarms(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """Returns the share of the normal scores [N] that are flagged with the least number
    of the highest scores that has `RECALL` of the anomalous ones [M]."""
    counts = np.arange(1, len(anomalous) + 1)
    needed = counts[counts / len(anomalous) >= RECALL][0]
    threshold = np.sort(anomalous)[-needed]
    above, level = (
        [np.sum(how(scores, threshold)) for scores in (normal, anomalous)]
        for how in (np.greater, np.equal)
    )
    # Of the scores at the threshold as large a share is flagged as anomalies there.
    share = (needed - above[1]) / level[1]
    return float((above[0] + share * level[0]) / len(normal))


def threshold_of(normal: np.ndarray, false_alarm_rate: float) -> float:
    """Returns the least of the scores [N] of held-out normal images such that at most
    this share of them lies above it."""
    allowed = _allowed(len(normal), false_alarm_rate)
    return float(np.sort(normal)[len(normal) - allowed - 1])


def _allowed(count: int, rate: float) -> int:
    """Returns how many of `count` scores may lie above the threshold: the largest
    number whose share is at most `rate`, up to rounding (0.29 * 100 is 28.999...)."""
    return math.floor(rate * count + 1e-9)


def false_alarm_interval(count: int, false_alarm_rate: float) -> tuple[float, float]:
    """Returns the 90% interval of the share of new normal images above `threshold_of`
    the scores of `count` images.

    If scores are continuous, that share has the distribution Beta(k + 1, count - k),
    where k of the scores lie above the threshold.

    References:
      David & Nagaraja 2003, Order Statistics, sec. 2.1.
    """
    above = _allowed(count, false_alarm_rate)
    low, high = stats.beta.ppf((0.05, 0.95), above + 1, count - above)
    return float(low), float(high)

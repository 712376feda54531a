"""Editing by attribute vectors: directions in which images gain an attribute.

Strength 1 along each direction moves a code as far as the class means are apart in it:
by `class_mean_direction` from mean to mean, by `probe_direction` until the probe sees
the same change. So a linear probe's verdict moves equally by both.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from vae.types import Array, UserError

MAX_ITERATIONS = 1000  # the regression is convex: this only has to be enough


def class_mean_direction(codes: np.ndarray, has_attribute: np.ndarray) -> np.ndarray:
    """Returns the mean of the codes [N, D] with the attribute (`has_attribute`,
    bool [N]) less the mean of those without, [D].

    References:
      Larsen et al. 2016, arXiv 1512.09300, sec. 4.1; White 2016, arXiv 1609.04468,
      sec. 3.

    Raises:
      UserError: no code has the attribute, or all have it.
    """
    has_attribute = np.asarray(has_attribute, bool)
    if has_attribute.all() or not has_attribute.any():
        raise UserError(
            f"{has_attribute.sum()} of {has_attribute.size} images have the attribute: "
            "a direction needs images with it and images without"
        )
    return codes[has_attribute].mean(axis=0) - codes[~has_attribute].mean(axis=0)


def probe_direction(codes: np.ndarray, has_attribute: np.ndarray) -> np.ndarray:
    """Returns the projection [D] of `class_mean_direction` on the normal of a linear
    probe: a logistic regression that tells the codes [N, D] with the attribute
    (`has_attribute`, bool [N]) from the others.

    Unlike the class means, the normal leaves alone what only goes along with the
    attribute. Codes are not standardised: the prior gives them their unit, and the
    regression's penalty keeps dimensions that are hardly used out of the normal.

    References:
      Shen et al. 2020, arXiv 1907.10786, for a linear classifier's normal.

    Raises:
      UserError: no code has the attribute, or all have it.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    means = class_mean_direction(codes, has_attribute)
    probe = LogisticRegression(max_iter=MAX_ITERATIONS).fit(codes, has_attribute)
    normal = probe.coef_[0] / np.linalg.norm(probe.coef_[0])
    return normal * (normal @ means)


def edit(codes: Array, direction: Array, strength: float) -> Array:
    """Returns codes [N, D] moved by `strength` times the direction [D]."""
    return codes + strength * direction


class EditEffect(NamedTuple):
    """What an edit changed, as shares of the images."""

    reached: float  # where the target is seen after the edit
    already: float  # where it was seen before
    kept: float  # where another attribute is seen as before; nan if there is no other
    kept_per_attribute: dict[str, float]  # of which `kept` is the mean


def measure_edit(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    target: str,
    value: int,
) -> EditEffect:
    """Compares what probes read from images decoded from unedited and edited codes.

    Args:
      before: the values [N] of each attribute, read from the unedited reconstructions.
      after: the same, read from the edited ones.
      target: the attribute that the edit is to change.
      value: what the edit is to make it.
    """
    kept = {
        name: float(np.mean(before[name] == after[name]))
        for name in before
        if name != target
    }
    return EditEffect(
        reached=float(np.mean(after[target] == value)),
        already=float(np.mean(before[target] == value)),
        kept=float(np.mean(list(kept.values()))) if kept else float("nan"),
        kept_per_attribute=kept,
    )

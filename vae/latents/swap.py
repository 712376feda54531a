"""One image's content in another's style."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import scipy.linalg

from vae.types import Array

LEAST_VARIANCE = 1e-3  # within classes, that is added to each dimension


def variance_between(codes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns the share [D] of each dimension's variance over codes [N, D] that is
    between the classes [N]: eta squared, from 0 to 1; 0 of a constant dimension."""
    total = codes.var(axis=0)
    between = _class_means(codes, classes).var(axis=0)
    return np.where(total > 0, between / np.where(total > 0, total, 1), 0)


def linear_discriminants(codes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns a basis [D, D], as columns, in whose coordinates `codes @ basis` the
    classes [N] share the identity as their covariance, the coordinate with the largest
    variance between classes first.

    C classes differ in the means of the first C - 1 coordinates only. Were codes [N, D]
    Gaussian given their class, with one covariance, these would tell all there is to
    know of it, and the others nothing.

    References:
      Fisher 1936, The use of multiple measurements in taxonomic problems; Rao 1948, for
      more than two classes.
    """
    means = _class_means(codes, classes)
    within = np.cov(codes - means, rowvar=False, ddof=0).reshape(codes.shape[1:] * 2)
    between = np.cov(means, rowvar=False, ddof=0).reshape(within.shape)
    # The prior gives codes their unit: dimensions that are hardly used stay small.
    within = within + LEAST_VARIANCE * np.eye(len(within))
    _, basis = scipy.linalg.eigh(between, within)
    return basis[:, ::-1]


def _class_means(codes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns for each code [N, D] the mean of those of its class, in float64."""
    values, members = np.unique(classes, return_inverse=True)
    means = [codes[members == i].mean(axis=0, dtype=float) for i in range(len(values))]
    return np.stack(means)[members]


def style_transfer(decode: Callable[..., Array], z: Array, num_labels: int) -> Array:
    """Returns the images [N, num_labels, H, W, C] of all labels in the styles
    z [N, D], by the decoder of a conditional model: `decode(z [B, D], label=[B])`
    returns mean images [B, H, W, C].

    References:
      Kingma et al. 2014, arXiv 1406.5298, fig. 1 (b, c).
    """
    labels = jnp.tile(jnp.arange(num_labels), len(z))
    images = decode(jnp.repeat(z, num_labels, axis=0), label=labels)
    return images.reshape(len(z), num_labels, *images.shape[1:])

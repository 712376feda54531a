"""Data for the likelihoods of counts."""

from pathlib import Path

import numpy as np

from vae.registry import LIKELIHOODS

COUNTS = [
    name
    for name, likelihood in LIKELIHOODS.items()
    if isinstance(likelihood, type)
    and likelihood.supports(np.array([0.0, 300.0]))
    and not likelihood.supports(np.array([0.5]))
]


def save_counts(path: Path) -> str:
    """Writes sixteen labelled vectors of counts, one of zeros; returns the name of the
    data set."""
    x = np.random.default_rng(0).poisson(3, (16, 6))
    x[0] = 0
    y = np.arange(16) % 3
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return f"npz:{path}"


def save_colours(path: Path, side: int = 28) -> str:
    """Writes twenty colour images of bytes; returns the name of the data set."""
    x = np.random.default_rng(0).integers(0, 256, (20, side, side, 3), np.uint8)
    np.savez(path, x_train=x, x_test=x)
    return f"npz:{path}"

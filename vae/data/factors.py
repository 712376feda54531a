"""Ground-truth factors: images known by the values of what they were made from."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class FactorSource(NamedTuple):
    """A data set with one image for every combination of its factors' values."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]  # how many values each has; the last varies fastest
    # From factors int [N, F] to what is stored of their images, as an array [N, ...].
    stored: Callable[[np.ndarray], Any]


def num_images(source: FactorSource) -> int:
    """Returns how many images there are: the product of the sizes."""
    return math.prod(source.sizes)


def index_of(source: FactorSource, factors: np.ndarray) -> np.ndarray:
    """Returns the places int [N] of images among all, from their factors [N, F].

    Raises:
      ValueError: a factor has no such value.
    """
    return np.asarray(np.ravel_multi_index(tuple(factors.T), source.sizes))


def factors_at(source: FactorSource, index: np.ndarray) -> np.ndarray:
    """Returns the factors int [N, F] of the images at places [N]; see `index_of`.

    Raises:
      ValueError: there is no such image.
    """
    return np.stack(np.unravel_index(index, source.sizes), axis=-1)


def sample(source: FactorSource, random: np.random.Generator, count: int) -> np.ndarray:
    """Draws factors int [count, F], uniformly and independently."""
    return random.integers(source.sizes, size=(count, len(source.sizes)))


def sample_sharing(
    source: FactorSource, random: np.random.Generator, factor: int, count: int
) -> np.ndarray:
    """Draws factors int [count, F] that share one value of factor number `factor`,
    drawn uniformly; the others are as of `sample`."""
    factors = sample(source, random, count)
    factors[:, factor] = random.integers(source.sizes[factor])
    return factors

"""The codes of sampled factors, from which all scores are computed."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from vae.data import factors as factor_data
from vae.data.factors import FactorSource
from vae.types import Unsupported

Encode = Callable[[np.ndarray], Any]  # factors int [N, F] -> codes [N, D]

ROWS_PER_BLOCK = 8192  # encoded at once: enough to fill the cores, in little memory


class Sample(NamedTuple):
    """Images by their codes and factors."""

    codes: np.ndarray  # [N, D]
    factors: np.ndarray  # int [N, F]


def sample_codes(
    encode: Encode, source: FactorSource, random: np.random.Generator, count: int
) -> Sample:
    """Draws images uniformly over the factors and encodes them."""
    factors = factor_data.sample(source, random, count)
    return Sample(encode_points(encode, factors, lambda codes: codes), factors)


def encode_points(
    encode: Encode, factors: np.ndarray, reduce: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Encodes factors [P, ..., F] by blocks of whole points, and reduces the codes
    [p, ..., D] of each block to [p, D], in float64; returns them all, [P, D].

    Raises:
      Unsupported: codes are infinite or not a number.
    """
    *middle, num_factors = factors.shape[1:]
    points_per_block = max(1, ROWS_PER_BLOCK // math.prod(middle))
    parts = []
    for start in range(0, len(factors), points_per_block):
        block = factors[start : start + points_per_block]
        codes = np.asarray(encode(block.reshape(-1, num_factors)), np.float64)
        if not np.isfinite(codes).all():
            raise Unsupported("needs finite codes: look at how the model was trained")
        parts.append(reduce(codes.reshape(*block.shape[:-1], -1)))
    return np.concatenate(parts)


def check_sample(sample: Sample) -> None:
    """Refuses codes and factors that have no score.

    Raises:
      Unsupported: there is one dimension, one factor, or one value of a factor.
    """
    if sample.codes.shape[1] < 2:
        raise Unsupported("needs a code of two dimensions or more")
    if sample.factors.shape[1] < 2:
        raise Unsupported("needs two factors of variation or more")
    constant = np.flatnonzero(np.ptp(sample.factors, axis=0) == 0)
    if constant.size:
        raise Unsupported(
            f"needs two values of factor number {constant[0]}, which has one in all "
            f"{len(sample.factors)} sampled images"
        )

"""Scaling of vectors, fitted on the training data and kept with the run."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from vae.data.columns import REAL, Column, value_kinds
from vae.types import Array, UserError

BLOCK = 4096  # rows held in float64 at once
MOST = 100_000  # rows of which the quartiles are taken
NORMAL_IQR = 1.3489795  # of a standard normal: 2 * norm.ppf(.75)


class Scaling(NamedTuple):
    """u = (g(x) - loc) / scale for each value of a vector, g(x) = log(1 + x) or x.

    `nan` (a missing value) stays.
    """

    loc: np.ndarray  # float32 [D]
    scale: np.ndarray  # float32 [D], positive
    is_log: np.ndarray  # bool [D]

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Returns rows [N, D] as the model sees them, a block at a time."""
        u = np.empty(x.shape, np.float32)
        for start in range(0, len(x), BLOCK):
            block = x[start : start + BLOCK].astype(np.float64)
            logs = np.log1p(block[:, self.is_log])
            block[:, self.is_log] = logs
            u[start : start + BLOCK] = (block - self.loc) / self.scale
        return u

    def invert(self, u: Array) -> Array:
        """Returns rows [..., D] in the units of the data. Of numbers that are means,
        those of log(1 + x) become medians."""
        xp: Any = np if isinstance(u, np.ndarray) else jnp
        g = u * self.scale + self.loc
        return xp.where(self.is_log, xp.expm1(xp.where(self.is_log, g, 0)), g)

    def log_jacobian(self, u: Array) -> Array:
        """Returns log |du / dx| [...] of rows u [..., D], in nats: the log-density of x
        is that of u plus this. Missing values count nothing."""
        xp: Any = np if isinstance(u, np.ndarray) else jnp
        of_log = xp.where(self.is_log, u * self.scale + self.loc, 0)  # log(1 + x)
        each = -np.log(self.scale) - of_log
        return xp.where(xp.isnan(u), 0, each).sum(-1)

    def as_plain(self) -> dict[str, list[Any]]:
        """Returns the numbers as lists, which JSON can hold exactly."""
        return {name: array.tolist() for name, array in self._asdict().items()}


def from_plain(plain: dict[str, list[Any]]) -> Scaling:
    """The inverse of `Scaling.as_plain`."""
    return Scaling(
        np.asarray(plain["loc"], np.float32),
        np.asarray(plain["scale"], np.float32),
        np.asarray(plain["is_log"], bool),
    )


def _standardize(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation [D], of all rows."""
    count = np.maximum(sum(_each(rows, lambda b: (~np.isnan(b)).sum(0))), 1)
    mean = sum(_each(rows, lambda b: np.nansum(b, 0))) / count
    squares = sum(_each(rows, lambda b: np.nansum((b - mean) ** 2, 0)))
    return mean, np.sqrt(squares / count)


def _robust(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns median and interquartile range [D], the latter in standard deviations of
    a normal; where it is zero, the standard deviation."""
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST)).round().astype(int)]
    low, median, high = np.nanquantile(some.astype(np.float64), (0.25, 0.5, 0.75), 0)
    spread = (high - low) / NORMAL_IQR
    return median, np.where(spread > 0, spread, _standardize(rows)[1])


def _log1p(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(rows.shape[1]), np.ones(rows.shape[1])


# What each name of `dataset.scale` fits: rows [N, D] -> loc and scale [D].
METHODS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "standardize": _standardize,
    "robust": _robust,
    "log1p": _log1p,
}
SCALINGS = ("none", *METHODS)


def fit(method: str, rows: np.ndarray, columns: Sequence[Column] = ()) -> Scaling:
    """Returns the scaling of rows [N, D] by a method of `METHODS`. Of a table it scales
    the columns of real numbers, and leaves the others as they are.

    Raises:
      UserError: log(1 + x) of a value of -1 or less.
    """
    width = rows.shape[1]
    kinds = value_kinds(columns) if columns else [REAL] * width
    is_real = np.array(kinds) == REAL
    loc, scale = np.zeros(width), np.ones(width)
    with np.errstate(all="ignore"):
        loc[is_real], scale[is_real] = METHODS[method](rows[:, is_real])
    loc = np.nan_to_num(loc)  # of columns without any value
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1)
    is_log = is_real & (method == "log1p")
    return Scaling(loc.astype(np.float32), scale.astype(np.float32), is_log)


def check_log(rows: np.ndarray, scaling: Scaling, where: str) -> None:
    """Refuses rows [N, D] that the scaling has no logarithm of.

    Raises:
      UserError: says where the first is.
    """
    is_low = (rows <= -1) & scaling.is_log
    if is_low.any():
        row, column = np.argwhere(is_low)[0].tolist()
        raise UserError(
            f"dataset.scale=log1p takes log(1 + x), but the {where} data hold "
            f"{rows[row, column]:.4g} in row {row}, column {column} (counted from 0): "
            "use standardize or robust"
        )


def _each(rows: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> list[Any]:
    return [
        function(rows[start : start + BLOCK].astype(np.float64))
        for start in range(0, len(rows), BLOCK)
    ]

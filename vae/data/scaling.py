"""Scaling of vectors, fitted on the training data and kept with the run."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from vae.data.columns import REAL, Column, value_kinds
from vae.data.storage import blocks, map_rows
from vae.types import Array, UserError

BLOCK = 4096  # rows summed in float64 at once; sums depend on it in their last digit
MOST = 100_000  # rows of which the quartiles are taken
NORMAL_IQR = 1.3489795  # of a standard normal: 2 * norm.ppf(.75)


class Scaling(NamedTuple):
    """u = (g(x) - loc) / scale for each value of a vector, with g(x) = log(1 + x) or
    g(x) = x.

    Missing values (nan) stay missing.
    """

    loc: np.ndarray  # float32 [D]
    scale: np.ndarray  # float32 [D], positive
    is_log: np.ndarray  # bool [D]

    def apply(self, x: Array) -> Array:
        """Returns vectors x [..., D] as the model sees them."""
        xp = _module_of(x)
        logs = xp.log1p(xp.where(self.is_log, x, 0))
        return (xp.where(self.is_log, logs, x) - self.loc) / self.scale

    def invert(self, u: Array) -> Array:
        """Returns vectors u [..., D] in the units of the data. The mean of a log(1 + x)
        does not become that of x, but its geometric mean, less 1."""
        xp = _module_of(u)
        g = u * self.scale + self.loc
        return xp.where(self.is_log, xp.expm1(xp.where(self.is_log, g, 0)), g)

    def log_jacobian(self, u: Array) -> Array:
        """Returns log |du / dx| [...] of vectors u [..., D], in nats: the log-density
        of x is that of u plus this. Missing values do not count."""
        xp = _module_of(u)
        of_log = xp.where(self.is_log, u * self.scale + self.loc, 0)  # log(1 + x)
        return xp.where(xp.isnan(u), 0, -np.log(self.scale) - of_log).sum(-1)

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


def _standardize(rows: np.ndarray, chosen: np.ndarray) -> tuple[Any, Any]:
    """Returns mean and standard deviation [C], of all rows."""
    count = np.maximum(_sum(rows, chosen, lambda block: ~np.isnan(block)), 1)
    mean = _sum(rows, chosen, lambda block: block) / count
    squares = _sum(rows, chosen, lambda block: (block - mean) ** 2)
    return mean, np.sqrt(squares / count)


def _robust(rows: np.ndarray, chosen: np.ndarray) -> tuple[Any, Any]:
    """Returns the median and the interquartile range [C], the latter in standard
    deviations of a normal; where it is zero, the standard deviation."""
    places = np.linspace(0, len(rows) - 1, min(len(rows), MOST)).round().astype(int)
    some = rows[places][:, chosen]
    low, median, high = np.nanquantile(some.astype(np.float64), (0.25, 0.5, 0.75), 0)
    spread = (high - low) / NORMAL_IQR
    return median, np.where(spread > 0, spread, _standardize(rows, chosen)[1])


def _log1p(rows: np.ndarray, chosen: np.ndarray) -> tuple[Any, Any]:
    del rows
    return np.zeros(chosen.sum()), np.ones(chosen.sum())


# What each name of `dataset.scale` fits: (rows [N, D], which columns, bool [D]) -> loc
# and scale [C] of these C columns.
METHODS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]] = {
    "standardize": _standardize,
    "robust": _robust,
    "log1p": _log1p,
}
SCALINGS = ("none", *METHODS)


def fit(method: str, rows: np.ndarray, columns: Sequence[Column] = ()) -> Scaling:
    """Returns the scaling of rows [N, D] by a method of `METHODS`.

    Of a table it scales the columns of real numbers and leaves the others as they are.
    A constant column is shifted but not stretched.
    """
    width = rows.shape[1]
    kinds = value_kinds(columns) if columns else [REAL] * width
    is_real = np.array(kinds) == REAL
    loc, scale = np.zeros(width), np.ones(width)
    with np.errstate(all="ignore"):
        loc[is_real], scale[is_real] = METHODS[method](rows, is_real)
    loc = np.where(np.isfinite(loc), loc, 0).astype(np.float32)
    scale = np.where(np.isfinite(scale), scale, 1).astype(np.float32)
    # Of a column that is constant but for rounding errors.
    is_varied = scale > np.finfo(np.float32).eps * np.abs(loc)
    return Scaling(loc, np.where(is_varied, scale, 1), is_real & (method == "log1p"))


def scale_rows(rows: np.ndarray, scaling: Scaling, what: str) -> np.ndarray:
    """Returns rows [N, D] scaled, a block at a time.

    Raises:
      UserError: log(1 + x) of -1 or less.
    """
    for start, block in blocks(rows) if scaling.is_log.any() else ():
        is_low = (block <= -1) & scaling.is_log
        if is_low.any():
            row, column = np.argwhere(is_low)[0].tolist()
            raise UserError(
                f"dataset.scale=log1p takes log(1 + x), but the {what} hold "
                f"{block[row, column]:.4g} at {[start + row, column]} counted from 0: "
                "use standardize or robust"
            )
    return map_rows(scaling.apply, rows, np.float32, *rows.shape[1:])


def _sum(
    rows: np.ndarray, chosen: np.ndarray, function: Callable[[np.ndarray], np.ndarray]
) -> Any:
    """Returns the sum over rows of a function of each block of the chosen columns,
    without missing values."""
    cuts = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
    blocks_of_chosen = (block[:, chosen].astype(np.float64) for block in cuts)
    return sum(np.nansum(function(block), 0) for block in blocks_of_chosen)


def _module_of(x: Array) -> Any:
    return np if isinstance(x, np.ndarray) else jnp

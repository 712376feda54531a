"""Memory for data of any length.

A large array lies in a temporary file that is mapped into memory. The system reads the
pages that are used, and drops them when memory is short: the memory that the process
cannot give back does not grow with the data. The file has no name, and is gone when
the array is.
"""

import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vae.types import UserError

LARGE = 256 * 2**20  # bytes above which an array lies in a file
BLOCK = 4096  # examples that are looked at together, at most
BLOCK_BYTES = 16 * 2**20  # of a block of large examples


def allocate(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Returns a new array like `np.empty`. It lies in a file in the folder of temporary
    files (`TMPDIR`) if it takes more than `LARGE` bytes.

    Raises:
      UserError: the disk has no room for it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= LARGE:
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile() as file:
            _reserve(file.fileno(), size)
            return np.ndarray(shape, dtype, mmap.mmap(file.fileno(), size))
    except OSError as error:
        raise UserError(
            f"the data need {size / 2**30:.1f} GiB for a temporary file "
            f"({error.strerror or error}): set the environment variable TMPDIR to a "
            "folder on a disk with more room"
        ) from error


def _reserve(file: int, size: int) -> None:
    """Gives a file its size. Without its blocks on disk, the first write to the map
    that finds the disk full would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    elif shutil.disk_usage(tempfile.gettempdir()).free < size:  # macOS
        raise OSError("No space left on device")
    else:
        os.ftruncate(file, size)


def blocks(rows: Any, row_bytes: int = 0) -> Iterator[tuple[int, Any]]:
    """Gives rows [N, ...] a block at a time, each with the place of its first row.

    Args:
      rows: an array, or what can be cut like one.
      row_bytes: what is made of a row, if that is larger than the row.
    """
    row_bytes = max(1, row_bytes, getattr(rows[:1], "nbytes", 0))
    size = max(1, min(BLOCK, BLOCK_BYTES // row_bytes))
    for start in range(0, rows.shape[0], size):
        yield start, rows[start : start + size]


def map_rows(
    function: Callable[[Any], Any],
    rows: Any,
    dtype: Any,
    *event: int,
) -> np.ndarray:
    """Returns what a function makes of rows [N, ...], a block at a time.

    Args:
      function: (rows [B, ...]) -> array [B, *event].
      rows: an array, or what can be cut like one.
      dtype: of the result.
      event: the shape of one of its rows.
    """
    found = allocate((rows.shape[0], *event), dtype)
    for start, block in blocks(rows, found[:1].nbytes):
        found[start : start + block.shape[0]] = function(block)
    return found


def take(rows: Any, index: Any) -> Any:
    """Returns `rows[index]`. Large copies are made a block at a time."""
    if not isinstance(rows, np.ndarray) or not isinstance(index, np.ndarray):
        return rows[index]
    rows = np.asarray(rows)  # no memmap
    places = np.flatnonzero(index) if index.dtype == bool else index

    def pick(some: np.ndarray) -> np.ndarray:
        # In half the time of rows[some]; of another order, `take` copies all rows.
        return rows.take(some, 0) if rows.flags.c_contiguous else rows[some]

    if places.ndim > 1 or places.size * rows[:1].nbytes <= LARGE:
        return pick(places)
    return map_rows(pick, places, rows.dtype, *rows.shape[1:])

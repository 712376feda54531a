"""A user's arrays of images or vectors, in an .npz file."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic

from vae.data.options import OBSERVED_ONLY, ReadOptions, advice, reading
from vae.data.splits import Split
from vae.data.storage import BLOCK_BYTES, allocate, blocks, map_rows
from vae.types import UserError

LARGEST_INTEGER = 2**24  # up to which float32 holds all integers
MOST_CHANNELS = 4  # of an axis that "auto" may take for the channels


def from_npz(path: Path, where: str, options: ReadOptions) -> tuple[Split, Split]:
    """Returns the arrays `x_train` and `x_test` with optional labels `y_train` and
    `y_test`. Other arrays of the file are not read.

    Images are [N, H, W] or [N, H, W, C] (with channels "first" [N, C, H, W]) and uint8
    in 0..255, bool, or finite floating point. Vectors are [N, D]: bool, or finite
    numbers, which are taken as they are. With `options.missing`, floating point may be
    nan too.

    Raises:
      UserError: the arrays are not there or not as they should be.
    """
    with _opened(path, where, "x_train=..., x_test=...") as file:
        for key in ("x_train", "x_test"):
            if key not in file.files:
                raise UserError(
                    f"{where}: the array {key!r} is missing (the file holds "
                    f"{', '.join(sorted(file.files)) or 'nothing'}); it needs x_train "
                    "and x_test, and may have y_train and y_test"
                )
        train, test = (
            _split(file, f"x_{s}", f"y_{s}", where, options) for s in ("train", "test")
        )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(
            f"{where}: examples of x_train have shape {train.images.shape[1:]}, and "
            f"those of x_test {test.images.shape[1:]}; they must be the same"
        )
    if train.images.dtype != test.images.dtype:
        raise UserError(
            f"{where}: one of x_train and x_test is bytes or bool and the other "
            "numbers; they must be the same"
        )
    if options.missing == OBSERVED_ONLY and train.size:
        least = np.fmin.reduce(train.images)
        if (unseen := np.isnan(least)).any():
            place = [":", *np.argwhere(unseen)[0].tolist()]
            raise UserError(
                f"{where}: x_train has no value at [{', '.join(map(str, place))}] "
                "counted from 0; leave it out"
            )
    return train, test


def all_of_npz(
    path: Path, where: str, options: ReadOptions, *, with_labels: bool = False
) -> Split:
    """Returns the images [N, H, W, C] or vectors [N, D] of a file's array `x`, or else
    `x_test`; on demand with the labels `y` or `y_test` beside it, if they are there.
    Other arrays of the file are not read.

    Raises:
      UserError: there is neither, or it is not as it should be.
    """
    with _opened(path, where, "x=...") as file:
        key, of_labels = ("x", "y") if "x" in file.files else ("x_test", "y_test")
        if key not in file.files:
            raise UserError(
                f"{where}: there is no array x, nor x_test (the file holds "
                f"{', '.join(sorted(file.files)) or 'nothing'}); save the examples as x"
            )
        return _split(file, key, of_labels if with_labels else "", where, options)


@contextmanager
def _opened(path: Path, where: str, arrays: str) -> Iterator[Any]:
    """Opens an .npz; arrays are read from it as they are asked for."""
    if not os.path.isfile(path):
        raise UserError(f"{where}: there is no such file")
    try:
        with reading(where, "an array"), path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise UserError(
                    f"{where}: the file is a .npy, which holds one array without a "
                    f"name; write numpy.savez_compressed('NAME.npz', {arrays})"
                )
            with file:
                yield file
    except UserError:
        raise
    except Exception as error:  # damaged files raise errors of a dozen types
        raise UserError(
            f"{where}: not a whole .npz of plain arrays; write it with "
            f"numpy.savez_compressed(PATH, {arrays}), from arrays of numbers (arrays "
            "of objects are never read)"
        ) from error


def _array(file: Any, key: str) -> np.ndarray:
    """Reads an array of an .npz a block at a time.

    Raises:
      ValueError: it is not whole, or holds objects.
    """
    name = key if key in file.zip.namelist() else f"{key}.npy"
    with file.zip.open(name) as stream:
        is_old = read_magic(stream) == (1, 0)
        read = read_array_header_1_0 if is_old else read_array_header_2_0
        shape, is_fortran, dtype = read(stream)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or size != file.zip.getinfo(name).file_size - stream.tell():
            raise ValueError(key)
        array = allocate(shape[::-1] if is_fortran else shape, dtype)
        left: Any = array.reshape(-1).view(np.uint8)
        while len(left):
            count = stream.readinto(left[:BLOCK_BYTES])
            if not count:
                raise ValueError(key)
            left = left[count:]
    # Rows that are asked for later lie together.
    return map_rows(np.asarray, array.T, dtype, *shape[1:]) if is_fortran else array


def _images(
    images: np.ndarray, key: str, where: str, options: ReadOptions
) -> np.ndarray:
    """Returns an array of a file as images [N, H, W, C] or vectors [N, D]."""
    if images.ndim == 2 and images.shape[1]:
        return _vectors(images, key, where, options)
    if images.ndim == 3:
        images = images[..., np.newaxis]
    elif images.ndim == 4:
        images = _channels_last(images, key, where, options)
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise UserError(
            f"{where}: {key} has shape {images.shape}; it must be [N, H, W] or "
            "[N, H, W, C] for images, or [N, D] for vectors"
        )
    if images.dtype == np.bool_:
        return _as_bytes(images)
    if np.issubdtype(images.dtype, np.floating):
        return _as_float32(images, key, where, options)
    if images.dtype != np.uint8:
        raise UserError(
            f"{where}: {key} is {images.dtype}; it must be uint8 in 0..255, bool, "
            "or floating point"
        )
    if images.size and images.max() == 1:
        raise UserError(
            f"{where}: {key} is uint8 but holds only 0 and 1; save it as bool, or "
            "multiply by 255"
        )
    return images


def _vectors(
    rows: np.ndarray, key: str, where: str, options: ReadOptions
) -> np.ndarray:
    """Returns vectors [N, D] as bytes 0 and 255 if they are bool, else as float32."""
    if rows.dtype == np.bool_:
        return _as_bytes(rows)
    if np.issubdtype(rows.dtype, np.floating):
        return _as_float32(rows, key, where, options)
    if not np.issubdtype(rows.dtype, np.integer):
        raise UserError(f"{where}: {key} is {rows.dtype}; it must be bool or numbers")
    if rows.size and max(rows.max(), -int(rows.min())) > LARGEST_INTEGER:
        raise UserError(
            f"{where}: {key} holds integers beyond {LARGEST_INTEGER}, which are not "
            "exact in float32: rescale them"
        )
    return _converted(rows, np.float32)


def _as_bytes(values: np.ndarray) -> np.ndarray:
    """Returns bool as 0 and 255."""
    return map_rows(lambda b: b * np.uint8(255), values, np.uint8, *values.shape[1:])


def _converted(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Returns numbers of another type; those that are of it already are not copied."""
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):
        return map_rows(lambda b: b.astype(dtype), values, dtype, *values.shape[1:])


def _as_float32(
    values: np.ndarray, key: str, where: str, options: ReadOptions
) -> np.ndarray:
    """Returns floating point as float32: finite, or nan if missing values are allowed.

    Raises:
      UserError: says where the first value is that is not so, or which example has no
        value at all.
    """
    allows = options.missing == OBSERVED_ONLY
    values = _converted(values, np.float32)
    for start, block in blocks(values):
        is_good = ~np.isinf(block) if allows else np.isfinite(block)
        if not is_good.all():
            row, *place = np.argwhere(~is_good)[0].tolist()
            value = values[start + row, *place]
            otherwise = "remove or replace them"
            setting = f"missing={OBSERVED_ONLY} if nan are missing values"
            what = advice(where, setting, otherwise) if np.isnan(value) else otherwise
            raise UserError(
                f"{where}: {key} holds nan or infinite values, the first ({value}) at "
                f"{[start + row, *place]} counted from 0; {what}"
            )
        if (empty := np.isnan(block.reshape(len(block), -1)).all(1)).any():
            raise UserError(
                f"{where}: {key} has no value at all at "
                f"{[start + int(empty.argmax())]} counted from 0; leave it out"
            )
    return values


def _channels_last(
    images: np.ndarray, key: str, where: str, options: ReadOptions
) -> np.ndarray:
    """Moves the channels to the last axis if the options say that they come first.

    Raises:
      UserError: the options do not say where they are, and the second axis looks like
        the channels: it is short, and the last is long.
    """
    if options.channels == "first":
        _, channels, *sides = images.shape
        last = images.transpose(0, 2, 3, 1)
        return map_rows(lambda block: block, last, images.dtype, *sides, channels)
    is_second_short = images.shape[1] <= MOST_CHANNELS < images.shape[-1]
    if options.channels == "auto" and is_second_short:
        setting = "channels=first if it is [N, C, H, W], or =last if it is [N, H, W, C]"
        otherwise = "save it with the channels last, [N, H, W, C]"
        raise UserError(
            f"{where}: {key} has shape {images.shape}, which looks like channels "
            f"first: {advice(where, setting, otherwise)}"
        )
    return images


def _split(
    file: Any, key: str, of_labels: str, where: str, options: ReadOptions
) -> Split:
    images = _images(_array(file, key), key, where, options)
    if of_labels not in file.files:
        return Split(images, None)
    labels = _array(file, of_labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{where}: {of_labels} is {labels.dtype} with {labels.ndim} axes; it must "
            "be integers with one axis, a label for each example"
        )
    if len(labels) != len(images):
        raise UserError(
            f"{where}: {of_labels} has {len(labels)} labels, and {key} has "
            f"{len(images)} examples; give each one label"
        )
    if any((block != block.astype(np.int32)).any() for _, block in blocks(labels)):
        raise UserError(f"{where}: {of_labels} holds integers of more than 32 bits")
    return Split(images, _converted(labels, np.int32))

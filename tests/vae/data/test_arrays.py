from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vae.data.options import ReadOptions
from vae.data.sources import load, load_other
from vae.types import UserError


def save(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return f"npz:{path}"


def bytes_(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_npz_round_trip(tmp_path: Path) -> None:
    x, y = bytes_(6, 4, 5), np.arange(6)
    name = save(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:2])
    train, test, *_ = load(name)
    np.testing.assert_array_equal(train.images[..., 0], x)
    np.testing.assert_array_equal(train.labels, y)
    assert train.labels.dtype == np.int32
    assert test.labels is None


def test_npz_bool_becomes_bytes(tmp_path: Path) -> None:
    x = bytes_(6, 4, 4) > 127
    train, *_ = load(save(tmp_path / "a.npz", x_train=x, x_test=x))
    assert set(np.unique(train.images)) == {0, 255}


IMAGES = bytes_(4, 3, 3)
BAD_ARRAYS = {
    "missing": ({"x_train": IMAGES, "images": IMAGES}, "'x_test' is missing"),
    "nan": ({"x_train": np.full((2, 3, 3), np.nan), "x_test": IMAGES}, "nan"),
    "integers": ({"x_train": IMAGES.astype(int), "x_test": IMAGES}, "int64"),
    "flat": ({"x_train": bytes_(4), "x_test": bytes_(4)}, r"\[N, H, W\].*\[N, D\]"),
    "nan in a row": (
        {"x_train": np.array([[0, 1], [2, np.nan]]), "x_test": np.zeros((1, 2))},
        r"the first \(nan\) at \[1, 1\]",
    ),
    "large integers": (
        {"x_train": np.full((2, 2), 2**24 + 1), "x_test": np.zeros((1, 2), int)},
        "not exact in float32",
    ),
    "text": ({"x_train": np.full((2, 2), "a"), "x_test": np.zeros((1, 2))}, "is <U1"),
    "array": (None, "is a .npy, .*savez_compressed.'NAME.npz', x_train"),
    "shapes": ({"x_train": IMAGES, "x_test": bytes_(4, 2, 3)}, "must be the same"),
    "types": ({"x_train": IMAGES, "x_test": IMAGES / 255}, "must be the same"),
    "zero_one": ({"x_train": IMAGES // 255 | 1, "x_test": IMAGES}, "as bool"),
    "labels": ({"x_train": IMAGES, "x_test": IMAGES, "y_train": IMAGES}, "y_train"),
    "fewer labels": (
        {"x_train": IMAGES, "x_test": IMAGES, "y_train": np.arange(3)},
        "y_train has 3 labels, and x_train has 4 examples",
    ),
    "empty": ({"x_train": IMAGES[:0], "x_test": IMAGES}, "is empty"),
    "pickle": ({"x_train": np.array([{}, 1]), "x_test": IMAGES}, "plain arrays"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_npz_refusals(tmp_path: Path, case: str) -> None:
    arrays, message = BAD_ARRAYS[case]
    name = f"npz:{tmp_path}/a.npz"
    if arrays is None:  # an .npy file under the name of an .npz
        with (tmp_path / "a.npz").open("wb") as file:
            np.save(file, IMAGES)
    else:
        save(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=message):
        load(name)


def test_vectors_are_taken_as_they_are(tmp_path: Path) -> None:
    for values, held in (
        (np.array([[0, 200], [-3, 7]]), np.float32([[0, 200], [-3, 7]])),
        (np.uint8([[0, 200], [3, 7]]), np.float32([[0, 200], [3, 7]])),
        (np.float64([[0.5, -2]]), np.float32([[0.5, -2]])),
        (np.array([[True, False]]), np.uint8([[255, 0]])),  # as of images
    ):
        train, test, *_ = load(save(tmp_path / "a.npz", x_train=values, x_test=values))
        for split in (train, test):
            np.testing.assert_array_equal(split.images, held)
            assert split.images.dtype == held.dtype


def test_npz_truncated_or_absent(tmp_path: Path) -> None:
    name = save(tmp_path / "a.npz", x_train=IMAGES, x_test=IMAGES)
    content = (tmp_path / "a.npz").read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 5):
        (tmp_path / "a.npz").write_bytes(content[:length])
        with pytest.raises(UserError, match="not a whole .npz"):
            load(name)
    with pytest.raises(UserError, match="no such file"):
        load(f"npz:{tmp_path}/b.npz")


def test_arrays_that_nobody_needs_are_not_read(tmp_path: Path) -> None:
    objects = np.array([{}, 1])
    arrays = {"x_train": IMAGES, "x_test": IMAGES, "names": objects}
    train, *_ = load(save(tmp_path / "a.npz", **arrays))
    np.testing.assert_array_equal(train.images[..., 0], IMAGES)
    name = save(tmp_path / "b.npz", x=IMAGES[:2], x_test=objects, y_test=objects)
    split, names = load_other(name, where="--score")
    assert (split.size, names) == (2, ["0", "1"])
    name = save(tmp_path / "c.npz", x_train=objects, x_test=IMAGES)
    assert load_other(name, where="--score")[0].size == 4


def test_channels_first_are_refused_or_transposed_but_not_guessed(
    tmp_path: Path,
) -> None:
    first, last_ = (ReadOptions(channels=where) for where in ("first", "last"))
    x = bytes_(4, 6, 5, 3)
    for channels in (1, 2, 3):
        last = x[..., :channels]
        moved = np.moveaxis(last, -1, 1)
        arrays = {"x_train": moved, "x_test": moved}
        name = save(tmp_path / "chw.npz", **arrays, x=moved)
        with pytest.raises(UserError, match="or set dataset.channels=first"):
            load(name)
        with pytest.raises(UserError, match=r"last, \[N, H, W, C\]$"):
            load_other(name, where="--score=chw")
        np.testing.assert_array_equal(load(name, "", first)[0].images, last)
        other, _ = load_other(name, "", first, where="--score=chw")
        np.testing.assert_array_equal(other.images, last)
        np.testing.assert_array_equal(load(name, "", last_)[0].images, moved)
    name = save(tmp_path / "many.npz", x_train=x, x_test=x)  # 6 channels, if first
    many = np.moveaxis(x, 1, -1)
    np.testing.assert_array_equal(load(name, "", first)[0].images, many)
    name = save(tmp_path / "grey.npz", x_train=x[..., 0], x_test=x[..., 0])
    np.testing.assert_array_equal(load(name, "", first)[0].images, x[..., :1])


@pytest.mark.parametrize("shape", [(3, 3, 2), (5, 3, 5), (6, 5, 5), (1, 4, 4)])
def test_odd_shapes_that_are_no_sign_of_channels_first(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    x = bytes_(4, *shape)
    train, *_ = load(save(tmp_path / "a.npz", x_train=x, x_test=x))
    np.testing.assert_array_equal(train.images, x)


ALLOWED = ReadOptions(missing="observed_only")


@pytest.mark.parametrize("shape", [(4,), (2, 2), (2, 2, 1)])
def test_missing_values_are_nan_if_they_may_be(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    x = np.random.default_rng(0).normal(size=(6, *shape))
    x.reshape(6, 4)[[0, 1], [3, 2]] = np.nan
    name = save(tmp_path / "a.npz", x_train=x, x_test=x, x=x)
    with pytest.raises(UserError, match="dataset.missing=observed_only if nan"):
        load(name)
    train, test, *_ = load(name, "", ALLOWED)
    other, _ = load_other(name, "", ALLOWED, where="--data")
    for split in (train, test, other):
        found = split.images.reshape(x.shape)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(x))


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        ((3,), np.nan, r"x_train has no value at all at \[3\]"),
        ((slice(None), 1), np.nan, r"x_train has no value at \[:, 1\]"),
        ((2, 0), np.inf, r"the first \(inf\) at \[2, 0\] .*replace them$"),
    ],
)
def test_what_is_refused_though_values_may_be_missing(
    tmp_path: Path, index: tuple[Any, ...], value: float, message: str
) -> None:
    x = np.random.default_rng(0).normal(size=(6, 4))
    x[index] = value
    with pytest.raises(UserError, match=message):
        load(save(tmp_path / "a.npz", x_train=x, x_test=x[:3]), "", ALLOWED)

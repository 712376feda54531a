"""Count matrices of cells by genes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from vae.data.options import ReadOptions
from vae.data.sources import load, load_other
from vae.types import UserError

h5py = pytest.importorskip("h5py")

COUNTS = np.random.default_rng(0).poisson(1.0, (20, 6)).astype(np.float32)
OPTIONS = ReadOptions(label_column="kind")


def save(path: Path, x: Any, genes: str = "abcdef") -> str:
    """Writes what anndata writes: see its "On-disk format"."""
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        if sparse.issparse(x):
            group = file.create_group("X")
            group.attrs.update({"encoding-type": f"{x.format}_matrix"})
            group.attrs["shape"] = x.shape
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(x, part)
        else:
            file["X"] = x
        for frame, names in (("obs", [f"cell{i}" for i in range(20)]), ("var", genes)):
            group = file.create_group(frame)
            group.attrs["_index"] = "index"
            group.create_dataset("index", data=[*names], dtype=text)
        file["obs/kind/codes"] = np.arange(20, dtype=np.int8) % 2
        kinds = file["obs/kind"].create_dataset(
            "categories", data=["T", "B"], dtype=text
        )
        assert kinds.shape == (2,)
        file["obs/batch"] = np.arange(20) % 3
        file["obs/age/values"] = np.arange(20) % 4
        file["obs/age/mask"] = np.zeros(20, bool)
        parts = ["train", "test"] * 10
        file["obs"].create_dataset("part", data=parts, dtype=text)
    return f"h5ad:{path}"


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_counts_are_read_whatever_their_form(tmp_path: Path, form: Any) -> None:
    options = OPTIONS._replace(split_column="part")
    name = save(tmp_path / "a.h5ad", form(COUNTS))
    loaded = load(name, "", options)
    np.testing.assert_array_equal(loaded.test.images, COUNTS[1::2])
    assert loaded.test.labels.tolist() == [0] * 10  # B, before T
    assert (loaded.train.labels == 1).all()
    assert [column.name for column in loaded.columns] == [*"abcdef"]
    assert {column.kind for column in loaded.columns} == {"count"}


def test_integer_labels_stay(tmp_path: Path) -> None:
    options = ReadOptions(label_column="batch", test_share=0.25)
    loaded = load(save(tmp_path / "a.h5ad", COUNTS), "", options)
    assert loaded.test.size == 5
    assert {*loaded.train.labels.tolist()} == {0, 1, 2}


def test_nullable_columns_are_read(tmp_path: Path) -> None:
    name, path = save(tmp_path / "a.h5ad", COUNTS), tmp_path / "a.h5ad"
    loaded = load(name, "", ReadOptions(label_column="age"))
    assert {*loaded.train.labels.tolist()} == {0, 1, 2, 3}
    with h5py.File(path, "r+") as file:
        file["obs/age/mask"][3] = True
    with pytest.raises(UserError, match="no label in column 'age'|no value"):
        load(name, "", ReadOptions(label_column="age"))


def test_another_file_is_read_by_the_names_of_the_genes(tmp_path: Path) -> None:
    columns = load(save(tmp_path / "a.h5ad", COUNTS), "", ReadOptions()).columns
    moved = save(tmp_path / "b.h5ad", COUNTS[:, ::-1], "fedcba")
    split, names = load_other(moved, where="--data", columns=columns)
    np.testing.assert_array_equal(split.images, COUNTS)
    assert names[:2] == ["cell0", "cell1"]
    with pytest.raises(UserError, match="--data: it has no column 'a'"):
        load_other(save(tmp_path / "c.h5ad", COUNTS, "Abcdef"), where="--data",
                   columns=columns)  # fmt: skip


@pytest.mark.parametrize(
    ("x", "genes", "options", "message"),
    [
        (COUNTS + 0.5, "abcdef", {}, r"holds \d\.5, which is no count"),
        (-COUNTS, "abcdef", {}, "holds -1, which is no count"),
        (COUNTS * np.nan, "abcdef", {}, "holds nan, which is no count"),
        (COUNTS * 0, "abcdef", {}, "every count is 0"),
        (COUNTS[:, :5], "abcdef", {}, r"shape \(20, 5\), for 20 cells and 6 genes"),
        (COUNTS, "abcdee", {}, "1 genes have the name of another"),
        (COUNTS, "abcdef", {"label_column": "typ"}, "label_column names 'typ'"),
        (COUNTS, "abcdef", {"split_column": "kind"}, "row cell0 of the file has 'T'"),
    ],
)
def test_files_that_hold_no_counts_are_refused(
    tmp_path: Path, x: np.ndarray, genes: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load(save(tmp_path / "a.h5ad", x, genes), "", ReadOptions(**options))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    name = save(path, COUNTS)
    content = path.read_bytes()
    for length in (0, 10, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match="not a whole .h5ad"):
            load(name)
    with pytest.raises(UserError, match="no such file"):
        load("h5ad:nowhere")

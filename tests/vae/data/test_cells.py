"""What is read of a table's file."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from vae.data import cells
from vae.data.cells import AUTO, SKIP, TEXT, Sheet, read

TEXT_OF = '\ufeffname,age,"a, b"\r\n"x\ny",1,\r\n\r\nz, 2.5 ,3\r\n'


def read_text(path: Path, text: str, **how: str) -> Sheet:
    opens = gzip.open if path.suffix == ".gz" else open
    with opens(path, "wt", encoding="utf-8", newline="") as stream:
        stream.write(text)
    return read(path, "--data", lambda name: how.get(name, AUTO))


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.csv.gz", "a.tsv"])
def test_cells_are_numbers_or_text_and_rows_are_those_of_a_spreadsheet(
    tmp_path: Path, name: str
) -> None:
    separated = TEXT_OF.replace(",", "\t") if "tsv" in name else TEXT_OF
    sheet = read_text(tmp_path / name, separated)
    last = "a\t b" if "tsv" in name else "a, b"
    assert sheet.names == ["name", "age", last]
    assert sheet.columns["name"].tolist() == ["x\ny", "z"]
    np.testing.assert_array_equal(sheet.columns["age"], [1, 2.5])
    np.testing.assert_array_equal(sheet.columns[last], [np.nan, 3])
    assert sheet.rows.tolist() == [2, 4]


def test_columns_are_read_as_asked(tmp_path: Path) -> None:
    sheet = read_text(tmp_path / "a.csv", "a,b,c\n01,1,x\n2,2,y\n", a=TEXT, c=SKIP)
    assert sheet.columns["a"].tolist() == ["01", "2"]
    assert sheet.names == ["a", "b", "c"] and [*sheet.columns] == ["a", "b"]


def test_a_column_is_one_across_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty cells come first, as if they were numbers; 1_000 is no number."""
    monkeypatch.setattr(cells, "BLOCK", 2)
    sheet = read_text(tmp_path / "a.csv", "a,b,c\n,1,1_0\n,2,2\nx,nan,3\ny,z,4\n")
    assert sheet.columns["a"].tolist() == [None, None, "x", "y"]
    assert sheet.columns["b"].tolist() == [1, 2, None, "z"]
    assert sheet.columns["c"].tolist() == ["1_0", "2", 3, 4]


def test_parquet_keeps_types(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = {
        "i": [1, None, 3],
        "b": [True, False, None],
        "s": pyarrow.array(["a", None, "a"]).dictionary_encode(),
        "t": [1, 2, None],
        "d": pyarrow.array([1, 2, 3], pyarrow.timestamp("s")),
        "__index_level_0__": [5, 6, 7],
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    how = {"t": TEXT, "d": SKIP}
    sheet = read(tmp_path / "a.parquet", "--data", lambda name: how.get(name, AUTO))
    np.testing.assert_array_equal(sheet.columns["i"], [1, np.nan, 3])
    np.testing.assert_array_equal(sheet.columns["b"], [1, 0, np.nan])
    assert sheet.columns["s"].tolist() == ["a", None, "a"]
    assert sheet.columns["t"].tolist() == ["1", "2", None]
    assert sheet.names == ["i", "b", "s", "t", "d"]
    assert sheet.rows.tolist() == [2, 3, 4]

"""Columns of Parquet are read some rows at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vae.data import arrow
from vae.data.cells import SKIP, read

pyarrow: Any = pytest.importorskip("pyarrow")


def test_columns_are_the_same_in_one_piece_and_in_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import parquet

    columns = {
        "x": [0.5, None, 2.0, 3.0, float("nan")],
        "flag": [True, None, False, True, True],
        "name": [" a", "b ", None, "NA", "a"],
        "unused": [1, 2, 3, 4, 5],
        "code": pyarrow.array(["u", None, "v", "u", "u"]).dictionary_encode(),
    }
    parquet.write_table(
        pyarrow.table(columns), tmp_path / "a.parquet", row_group_size=3
    )

    def columns_of() -> dict[str, np.ndarray]:
        how = {"unused": SKIP}
        path = tmp_path / "a.parquet"
        return read(path, "here", lambda name: how.get(name, "auto")).columns

    whole = columns_of()
    monkeypatch.setattr(arrow, "BLOCK", 2)
    parts = columns_of()
    assert [*whole] == [*parts] == ["x", "flag", "name", "code"]
    for name, cells in whole.items():
        np.testing.assert_array_equal(parts[name], cells)
    np.testing.assert_array_equal(parts["x"], [0.5, np.nan, 2, 3, np.nan])
    np.testing.assert_array_equal(parts["flag"], [1, np.nan, 0, 1, 1])
    assert parts["name"].tolist() == ["a", "b", None, None, "a"]
    assert parts["code"].tolist() == ["u", None, "v", "u", "u"]

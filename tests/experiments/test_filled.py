"""Tables whose empty cells are filled in, in text and in Parquet."""

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.filled import end_of, sibling, write_filled, write_values
from vae.data.columns import BINARY, CATEGORY, COUNT, Column

COLUMNS = (
    Column("n", COUNT),
    Column("kind", CATEGORY, ("a", "b, c")),
    Column("is_old", BINARY),
    Column("age"),
)
TEXT = """id,"age ",note,kind,is_old,n
007,1.50,"x, y",a,True,3

008,NA, z ,,,
009,,NA,a,False,
"""
VALUES = np.array([[3, 1, 0, 1, 1.5], [7.6, 0.4, 0.6, 0.7, 1234567.8]] + [[-0.3] * 5])
GONE = np.array([[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 1]], bool)


def filled(folder: Path, name: str, text: str, **given: Any) -> str:
    opens: Any = gzip.open if name.endswith(".gz") else open
    with opens(folder / name, "wt") as stream:
        stream.write(text)
    target = folder / f"out_{name}"
    asked = {"columns": COLUMNS, "values": VALUES, "is_missing": GONE}
    write_filled(folder / name, target, **{**asked, **given})
    assert not [*folder.glob("*.partial*")]
    with opens(target, "rt") as stream:
        return stream.read()


def test_cells_that_were_there_stay_as_they_were(tmp_path: Path) -> None:
    """And others get what their kind of column holds."""
    expected = """id,age ,note,kind,is_old,n
007,1.50,"x, y",a,True,3
008,1.23457e+06, z ,"b, c",True,8
009,-0.3,NA,a,False,0
"""
    assert filled(tmp_path, "a.csv", TEXT) == expected
    assert filled(tmp_path, "a.csv.gz", TEXT) == expected
    tabs = TEXT.replace('"x, y"', "x y").replace(",", "\t")
    columns = (COLUMNS[0], COLUMNS[1]._replace(categories=("a", "b")), *COLUMNS[2:])
    got = filled(tmp_path, "a.tsv", tabs, columns=columns)
    assert got.splitlines()[2] == "008\t1.23457e+06\t z \tb\tTrue\t8"


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (("TRUE", "", ""), "TRUE TRUE FALSE"),
        (("false", "", ""), "false true false"),
        (("True", "", ""), "True True False"),
        (("1.0", "", ""), "1.0 1.0 0"),
        (("", "", ""), "1 1 0"),
        (("1", "", "0"), "1 1 0"),
    ],
)
def test_a_binary_column_keeps_its_spelling(
    tmp_path: Path, held: tuple[str, ...], expected: str
) -> None:
    text = "a,x\n" + "".join(f"1,{cell}\n" for cell in held)
    values = np.array([[0.9], [0.51], [0.5]])
    gone = np.array([[not cell] for cell in held])
    given = {"columns": [Column("x", BINARY)], "values": values, "is_missing": gone}
    got = filled(tmp_path, "a.csv", text, **given)
    assert " ".join(line[2:] for line in got.splitlines()[1:]) == expected


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    category = pyarrow.dictionary(pyarrow.int8(), pyarrow.string())
    types = {
        "byte": pyarrow.uint8(),
        "half": pyarrow.float16(),
        "price": pyarrow.decimal128(6, 2),
        "is_old": pyarrow.bool_(),
        "word": pyarrow.string(),
        "code": pyarrow.int16(),
        "kind": category,
        "none": pyarrow.null(),
        "other": pyarrow.date32(),
    }
    rows = {
        "byte": [3, None, 250],
        "half": [None, np.float16(0.5), np.float16(2)],
        "price": [Decimal("1.25"), Decimal("3.00"), None],
        "is_old": [False, None, False],
        "word": ["yes", "NA", "no"],
        "code": [None, 10, 20],
        "kind": ["x", "y", None],
        "none": [None, None, None],
        "other": [1, None, 3],
    }
    arrays = [pyarrow.array(rows[name], type_) for name, type_ in types.items()]
    schema = pyarrow.schema(list(types.items()), metadata={"of": "mine"})
    parquet.write_table(
        pyarrow.Table.from_arrays(arrays, schema=schema), tmp_path / "a.parquet"
    )
    columns = [
        *(Column(name) for name in ("byte", "half", "price")),
        Column("is_old", BINARY),
        Column("word", CATEGORY, ("no", "yes")),
        Column("code", CATEGORY, ("10", "20")),
        Column("kind", CATEGORY, ("x", "y")),
        Column("none"),
    ]
    values = np.tile([300.2, 0.25, 7.128, 0.9, 0.1, 0.9, 0.2, 0.8, 0.6, 0.4, 1.5], 3)
    missing = {"byte": [1], "half": [0], "price": [2], "is_old": [1], "word": [1]}
    missing |= {"code": [0], "kind": [2], "none": [0, 1, 2]}
    gone = np.zeros((3, 11), bool)
    names = [c.name for c in columns for _ in range(c.width)]
    for place, name in enumerate(names):
        gone[missing[name], place] = True
    target = tmp_path / "b.parquet"
    write_filled(tmp_path / "a.parquet", target, columns, values.reshape(3, 11), gone)
    table = parquet.read_table(target)
    types["none"] = pyarrow.float64()
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == types
    assert table.schema.metadata[b"of"] == b"mine"
    got = table.to_pydict()
    assert got["other"] == table.column("other").to_pylist() != rows["other"]
    assert {name: got[name] for name in rows if name != "other"} == {
        "byte": [3, 255, 250],
        "half": [0.25, 0.5, 2],
        "price": [Decimal("1.25"), Decimal("3.00"), Decimal("7.13")],
        "is_old": [False, True, False],
        "word": ["yes", "yes", "no"],
        "code": [20, 10, 20],
        "kind": ["x", "y", "x"],
        "none": [1.5, 1.5, 1.5],
    }


def test_numbers_become_a_table_of_the_values(tmp_path: Path) -> None:
    write_values(tmp_path / "a.csv", COLUMNS, np.array([[0, 1, 0.1234567, 2, 1e-9]]))
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        'n,kind=a,"kind=b, c",is_old,age',
        "0,1,0.123457,2,1e-09",
    ]
    parquet = pytest.importorskip("pyarrow.parquet")
    write_values(tmp_path / "a.parquet", COLUMNS, np.zeros((2, 5), np.float32))
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.num_rows == 2 and table.schema.names[2] == "kind=b, c"


def test_names_of_files() -> None:
    assert [end_of(f"x/a{end}") for end in (".csv", ".tsv.GZ", ".parquet", "")] == [
        *(".csv", ".tsv.GZ", ".parquet", "")
    ]
    assert sibling(Path("x/a.b.csv.gz"), "std") == Path("x/a.b_std.csv.gz")

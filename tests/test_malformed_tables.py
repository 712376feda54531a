"""Tables that are not as they should be end in one line, soon, with status 2."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.helpers.launched import UNOPTIMISED, Start, forks
from vae.data.options import DEFAULT, ReadOptions
from vae.data.sources import load
from vae.types import UserError

MOST_SECONDS = 10.0
GOOD = "a,b,kind,part\n" + "".join(
    f"{i},{i % 7},{'xy'[i % 2]},{'train' if i % 5 else 'test'}\n" for i in range(30)
)
LABELLED = ReadOptions(label_column="kind", split_column="part")
ALLOWED = ReadOptions(missing="observed_only")


def many(*rows: str) -> str:
    """Returns a table of columns a and b that has these rows among others."""
    some = "1,2\n3,5\n4,1\n"
    return "a,b\n" + some + "".join(f"{row}\n" for row in rows) + some


# Content, what the message says, and how it is read if that matters.
Case = tuple[str | bytes, str] | tuple[str | bytes, str, ReadOptions]
TEXTS: dict[str, Case] = {
    "empty file": ("", "the file is empty"),
    "blank lines only": ("\n\n", "the file is empty"),
    "header only": ("a,b\n", "names of columns but no rows"),
    "no header": ("0.5,2\n1,2\n", "row 1 holds numbers, as 0.5"),
    "name without text": (",a\n0,1\n", "column 1 has no name in row 1; .*index=False"),
    "names twice": ("a,b,a\n1,2,3\n", "two columns have the name 'a'"),
    "semicolons": ("a;b\n1;2\n", r"commas \(in .tsv by tabs\), not by ';'"),
    "tabs": ("a\tb\n1\t2\n", r"commas \(in .tsv by tabs\), not by '\\t'"),
    "decimal commas": (
        'a,b\n1,"1,5"\n2,"2,5"\n',
        "row 2 .* '1,5' in column 'b', which looks like a number but is text",
    ),
    "currencies": ("a,b\n1,$1 000\n2,$3\n", r"row 2 .* '\$1 000' in column 'b'"),
    "short row": (many("1"), "row 5 of the file has 1 cells, and row 1 has 2"),
    "long row": (many("1,2,3"), "row 5 of the file has 3 cells, and row 1 has 2"),
    "row of a million cells": (
        many("," * 10**6),
        "row 5 of the file has 1000001 cells",
    ),
    "a million columns": (
        ",".join(map(str, range(10**6))) + "\n",
        "row 1 has 1000000 columns; a table has 100000 at most",
    ),
    "huge cell": (many("1," + "2" * 200_000), "row 5 of the file: field larger than"),
    "open quote": (many('1,"2'), r"row \d of the file: unexpected end of data"),
    "not UTF-8": (GOOD.replace("x", "\xe9").encode("latin-1"), "is not UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), "is not UTF-8"),
    "NUL": (many("1,2\0"), "line 5 holds a NUL byte"),
    "text among numbers": (
        many("1,old", "new,3"),
        "row 6 of the file has 'new' in column 'a', which is no number",
    ),
    "number among texts": (
        "a,b\nx,1\ny,2\n3,3\n",
        "row 4 .* '3' in column 'a', which is a number, and most others are text",
    ),
    "missing": (many("1,"), "row 5 of the file has no value in column 'b'"),
    "missing row": (many(","), "row 5 of the file has no value at all", ALLOWED),
    "missing column": ("a,b\n1,\n2,NA\n", "'b' has no value in any row; leave it out"),
    "missing in training": (
        "a,b,part\n1,,train\n2,,train\n3,1,test\n",
        "'b' has no value in the training rows",
        ALLOWED._replace(split_column="part"),
    ),
    "category missing in training": (
        "a,b,part\n1,,train\n2,,train\n3,x,test\n",
        "column 'b' has no value in the training rows; .*column_kinds=b:ignore",
        ALLOWED._replace(split_column="part"),
    ),
    "infinite": (many("1,-inf"), "row 5 .* -inf in column 'b', which is too large"),
    "beyond float32": (many("1,1e39"), r"row 5 .* 1e\+39 in column 'b'"),
    "constant": ("a,b\n1,2\n1,2\n1,2\n1,2\n", "every column has one value only"),
    "many categories": (
        "a,b\n" + "".join(f"{i},id{i}\n" for i in range(101)),
        "'b' is text with 101 different values.*column_kinds=b:ignore",
    ),
    "text as count": (
        "a,b\n,1\nx,2\ny,3\n",
        "row 3 .* 'x' in column 'a', but a count column holds numbers: correct it",
        ALLOWED._replace(column_kinds=("a:count",)),
    ),
    "text among true and false": (
        "a,b\ntrue,1\nfalse,2\nyes,3\n",
        "row 4 .* 'yes' in column 'a', but a binary column holds 0 and 1",
        ReadOptions(column_kinds=("a:binary",)),
    ),
    "half a count": (
        many("1.5,2"),
        r"row 5 .* 1.5 in column 'a', which is no count \(0, 1, 2",
        ReadOptions(column_kinds=("a:count",)),
    ),
    "large count": (
        many("16777217,2"),
        r"1.67772e\+07 in column 'a', which is above 16777216",
        ReadOptions(column_kinds=("a:count",)),
    ),
    "not binary": (
        many(),
        "row 3 of the file has 3 in column 'a', which is neither 0 nor 1",
        ReadOptions(column_kinds=("a:binary",)),
    ),
    "nothing left": (
        many(),
        "no column is left for the model",
        ReadOptions(column_kinds=("a:ignore", "b:ignore")),
    ),
    "absent column": (
        many(),
        "dataset.column_kinds names 'c', but the columns are a, b$",
        ReadOptions(column_kinds=("c:count",)),
    ),
    "absent labels": (many(), "label_column names 'y'", ReadOptions(label_column="y")),
    "absent split": (many(), "split_column names 's'", ReadOptions(split_column="s")),
    "missing label": (
        GOOD.replace("7,0,y", "7,0,"),
        "row 9 of the file has no value in column 'kind', dataset.label_column",
        LABELLED,
    ),
    "label that is no integer": (
        many("1.5,2"),
        "row 5 .* label 1.5 in column 'a'; labels are integers",
        ReadOptions(label_column="a"),
    ),
    "missing split": (
        GOOD.replace("6,x,train", "6,x,"),
        "row 8 of the file has no value in column 'part', dataset.split_column",
        LABELLED,
    ),
    "other split": (
        GOOD.replace("6,x,train", "6,x,dev"),
        "row 8 of the file has 'dev' in column 'part'; .* holds train and test",
        LABELLED,
    ),
    "no test rows": (
        GOOD.replace("test", "train"),
        "none of its 30 rows is test by dataset.split_column=part",
        LABELLED,
    ),
    "too few rows": ("a,b\n1,2\n3,4\n", "none of its 2 rows is test by .*=0.2"),
}


def refused(name: str, message: str, options: ReadOptions = DEFAULT) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=message) as error:
        load(name, "", options)
    assert time.monotonic() - began < MOST_SECONDS
    said = str(error.value)
    assert said.startswith(f"dataset.name={name}: ")
    assert "\n" not in said and len(said) < 500 + len(name)


@pytest.mark.parametrize("case", TEXTS)
def test_texts_that_are_no_table(tmp_path: Path, case: str) -> None:
    content, message, *options = TEXTS[case]
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(f"table:{path}", message, *options)


def cut_gz(path: Path) -> str:
    import gzip

    path = path.with_suffix(".csv.gz")
    content = gzip.compress(os.urandom(5000).hex().encode())
    path.write_bytes(content[: len(content) // 2])
    return str(path)


def plain_as_gz(path: Path) -> str:
    path = path.with_suffix(".csv.gz")
    path.write_text(GOOD)
    return str(path)


def folder(path: Path) -> str:
    path.mkdir()
    return str(path)


def closed(path: Path) -> str:
    path.write_text(GOOD)
    path.chmod(0)
    return str(path)


def excel(path: Path) -> str:
    path = path.with_suffix(".xlsx")
    path.write_bytes(b"PK")
    return str(path)


def parquet(path: Path, **columns: object) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    to_file = pytest.importorskip("pyarrow.parquet")
    path = path.with_suffix(".parquet")
    to_file.write_table(pyarrow.table({"a": np.arange(30.0), **columns}), path)
    return path


def cut_parquet(path: Path) -> str:
    path = parquet(path)
    path.write_bytes(path.read_bytes()[:-50])
    return str(path)


def damaged_parquet(path: Path) -> str:
    path = parquet(path)
    content = bytearray(path.read_bytes())
    content[10:60] = bytes(50)
    path.write_bytes(content)
    return str(path)


def nested_parquet(path: Path) -> str:
    return str(parquet(path, b=[[1, 2]] * 30))


def dates_parquet(path: Path) -> str:
    return str(parquet(path, b=np.full(30, "2026-01-01", "datetime64[D]")))


FILES: dict[str, tuple[Callable[[Path], str], str]] = {
    "absent": (str, "there is no such file"),
    "a folder": (folder, "it is a folder"),
    "no permission": (closed, "no permission to read it"),
    "another ending": (excel, "the name must end in .csv, .csv.gz, .tsv"),
    "half a gz": (cut_gz, "not a whole .gz"),
    "no gz": (plain_as_gz, "not a whole .gz"),
    "half a Parquet": (cut_parquet, "not a whole Parquet file"),
    "damaged Parquet": (damaged_parquet, "not a whole Parquet file"),
    "nested Parquet": (nested_parquet, "column 'b' holds list.*column_kinds=b:ignore"),
    "dates": (dates_parquet, "column 'b' holds date32.*column_kinds=b:ignore"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_no_table(tmp_path: Path, case: str) -> None:
    make, message = FILES[case]
    if case == "no permission" and os.geteuid() == 0:
        pytest.skip("root may read every file")
    refused(f"table:{make(tmp_path / 'a.csv')}", message)


def test_a_column_may_be_constant_if_another_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n1,3\n1,4\n")
    assert load(f"table:{path}").train.images.shape == (2, 2)


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with forks(**UNOPTIMISED) as start:
        yield start


@pytest.mark.slow
@pytest.mark.parametrize("case", ["short row", "text among numbers", "not UTF-8"])
def test_a_launch_ends_in_one_line(start: Start, tmp_path: Path, case: str) -> None:
    content, *_ = TEXTS[case]
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    config = f"--config={ROOT}/configs/table_vae.py:smoke"
    name = f"--config.dataset.name=table:{path}"
    status, _, errors = start(tmp_path / "run", config, name).wait()
    assert status == 2
    assert len(errors.splitlines()) == 1 and "a.csv: " in errors, errors


@pytest.mark.slow
def test_kinds_of_columns_are_checked_before_the_table(
    start: Start, tmp_path: Path
) -> None:
    config = f"--config={ROOT}/configs/table_vae.py:smoke"
    for value, message in (
        ("a:counts", "column_kinds=a=counts is unknown (did you mean count?)"),
        ("a", "dataset.column_kinds=a must be NAME:KIND, as in age:count"),
        ("a:real,b:real", "must be names in quotes, as in"),
        ("(1,2)", "must be names in quotes, as in"),
    ):
        flag = f"--config.dataset.column_kinds={value}"
        status, _, errors = start(tmp_path / "run", config, flag).wait()
        assert status == 2
        assert len(errors.splitlines()) == 1 and message in errors, errors

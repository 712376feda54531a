"""Tables that are written: a user's with its empty cells filled in, or new rows."""

import csv
import gzip
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae.data.cells import READERS, records, separator_of
from vae.data.columns import BINARY, CATEGORY, COUNT, REAL, Column, value_names
from vae.data.tables import TRUTH

DIGITS = 6  # significant, of imputed real numbers
PARQUET = ".parquet"


class Gaps(NamedTuple):
    """The cells of a column that are to be filled, by the values of a vector."""

    column: Column
    values: np.ndarray  # [number of gaps, width]
    rows: np.ndarray  # [number of gaps], counted from 0


def end_of(name: str) -> str:
    """Returns the end of a table's name, as in ".csv.gz"; "" if it is none."""
    ends = [end for end in READERS if name.lower().endswith(end)]
    return name[-len(ends[0]) :] if ends else ""


def sibling(path: Path, what: str) -> Path:
    """Returns the path of a table beside another, as NAME_std.csv of NAME.csv."""
    end = end_of(path.name)
    return path.with_name(f"{path.name.removesuffix(end)}_{what}{end}")


def write_filled(
    source: Path,
    target: Path,
    columns: Sequence[Column],
    values: np.ndarray,
    is_missing: np.ndarray,
) -> None:
    """Writes a table with its missing cells filled in.

    A real number has `DIGITS` digits, a count is rounded, a category is the likeliest
    one, and a binary column keeps its way of writing: 0 and 1, or true and false.

    Args:
      source: the table as it is.
      target: the file to write, of the same format.
      columns: of the model; others of the file stay as they are.
      values: [N, D], imputed, in units of the data.
      is_missing: [N, D], which of them the file lacks.

    Raises:
      OSError: the file cannot be written.
    """
    fill = _fill_parquet if _is_parquet(target) else _fill_text
    fill(source, target, [*_gaps(columns, values, is_missing)])


def write_values(target: Path, columns: Sequence[Column], values: np.ndarray) -> None:
    """Writes numbers [N, D] as a table whose columns are the values of the vectors.

    Raises:
      OSError: the file cannot be written.
    """
    names = value_names(columns, values.shape[1])
    if _is_parquet(target):
        pyarrow = importlib.import_module("pyarrow")
        arrays = dict(zip(names, values.T.copy(), strict=True))
        _write_parquet(target, pyarrow.table(arrays))
    else:
        numbers = ([f"{v:.{DIGITS}g}" for v in row] for row in values)
        _write_text(target, [names, *numbers])


def write_rows(
    target: Path,
    columns: Sequence[Column],
    values: np.ndarray,
    labels: Mapping[str, Sequence[str]],
) -> None:
    """Writes vectors as a table of columns like those that the model was trained on.

    Cells are written as in `write_filled`; a binary one is 0 or 1.

    Args:
      target: the file to write.
      columns: of the model.
      values: [N, D], in units of the data.
      labels: more columns, the texts [N] of each.

    Raises:
      OSError: the file cannot be written.
    """
    every = [*_gaps(columns, values, np.ones(values.shape, bool))]
    texts = {**{gaps.column.name: _written(gaps) for gaps in every}, **labels}
    if _is_parquet(target):
        pyarrow = importlib.import_module("pyarrow")
        types = {REAL: np.float64, COUNT: np.int64, BINARY: np.int64}
        of_kind = {gaps.column.name: types.get(gaps.column.kind, str) for gaps in every}
        typed = {n: np.array(t, of_kind.get(n, str)) for n, t in texts.items()}
        _write_parquet(target, pyarrow.table(typed))
    else:
        _write_text(target, [[*texts], *zip(*texts.values(), strict=True)])


def _gaps(
    columns: Sequence[Column], values: np.ndarray, is_missing: np.ndarray
) -> Iterator[Gaps]:
    start = 0
    for column in columns:
        rows = np.flatnonzero(is_missing[:, start])
        yield Gaps(column, values[rows, start : start + column.width], rows)
        start += column.width


def _written(gaps: Gaps, spelled: tuple[str, str] = ("0", "1")) -> list[str]:
    """Returns the texts of a column's gaps; `spelled` is how it writes 0 and 1."""
    column, values, _ = gaps
    if column.kind == CATEGORY:
        return [column.categories[place] for place in values.argmax(-1)]
    (numbers,) = values.T
    if column.kind == BINARY:
        return [spelled[int(value > 0.5)] for value in numbers]
    if column.kind == COUNT:  # 0.0 is not -0
        return [f"{max(value, 0.0):.0f}" for value in numbers]
    return [f"{value:.{DIGITS}g}" for value in numbers]


def _spelling(cells: Iterable[str]) -> tuple[str, str]:
    """Returns how the cells of a binary column write 0 and 1."""
    found: dict[float, str] = {}
    for cell in cells:
        value = TRUTH.get(cell.lower())
        found.setdefault(float(cell) if value is None else value, cell)
    words = [word for word in found.values() if word.lower() in TRUTH]
    zero, one = "0", "1"
    if words:
        alter: Callable[[str], str] = str.lower
        if words[0] != words[0].lower():
            alter = str.upper if words[0].isupper() else str.title
        zero, one = alter("false"), alter("true")
    return found.get(0.0, zero), found.get(1.0, one)


def _fill_text(source: Path, target: Path, every: list[Gaps]) -> None:
    names, *rows = (cells for _, cells in records(source, str(source)))
    stripped = [name.strip() for name in names]
    for gaps in every:
        place, holes = stripped.index(gaps.column.name), {*gaps.rows.tolist()}
        spelled = "0", "1"
        if gaps.column.kind == BINARY:
            known = (row[place] for i, row in enumerate(rows) if i not in holes)
            spelled = _spelling(cell.strip() for cell in known)
        for row, text in zip(gaps.rows, _written(gaps, spelled), strict=True):
            rows[row][place] = text
    _write_text(target, [names, *rows])


def _fill_parquet(source: Path, target: Path, every: list[Gaps]) -> None:
    parquet = importlib.import_module("pyarrow.parquet")
    with parquet.ParquetFile(source) as file:
        table = file.read()
    for gaps in every:
        place = table.schema.get_field_index(gaps.column.name)
        filled = _filled(table.column(place), gaps)
        field = table.schema.field(place).with_type(filled.type)
        table = table.set_column(place, field, filled)
    _write_parquet(target, table)


def _filled(cells: Any, gaps: Gaps) -> Any:
    """Returns a column of Parquet without gaps, of its own type if it has one."""
    pyarrow = importlib.import_module("pyarrow")
    if not len(gaps.rows):
        return cells
    own, is_text = cells.type, gaps.column.kind == CATEGORY
    if pyarrow.types.is_dictionary(own):
        plain = _filled(cells.cast(own.value_type), gaps)
        return pyarrow.array(plain.to_pylist(), own)
    if pyarrow.types.is_null(own):
        cells = cells.cast(pyarrow.string() if is_text else pyarrow.float64())
    whole = np.full(len(cells), None, object)
    if "string" in str(cells.type):
        is_text, known = True, cells.to_pylist()
        spelled = "0", "1"
        if gaps.column.kind == BINARY:
            holes = {*gaps.rows.tolist()}
            known = [cell for i, cell in enumerate(known) if i not in holes]
            spelled = _spelling(cell.strip() for cell in known)
        whole[gaps.rows] = _written(gaps, spelled)
    else:
        texts = _written(gaps)
        whole[gaps.rows] = texts if is_text else _numbers(texts, cells.type)
    new = pyarrow.array(whole, pyarrow.string() if is_text else pyarrow.float64())
    is_hole = pyarrow.array(np.isin(np.arange(len(cells)), gaps.rows))
    compute = importlib.import_module("pyarrow.compute")
    return compute.if_else(is_hole, new.cast(cells.type, safe=False), cells)


def _numbers(texts: list[str], own: Any) -> np.ndarray:
    """Returns numbers that a column's own type holds."""
    numbers = np.array(texts, np.float64)
    if "int" not in str(own):
        return numbers
    limits = np.iinfo(own.to_pandas_dtype())
    return np.clip(np.rint(numbers), limits.min, limits.max)


def _is_parquet(path: Path) -> bool:
    return end_of(path.name).lower() == PARQUET


def _write_text(target: Path, rows: Iterable[Sequence[str]]) -> None:
    opens: Any = gzip.open if target.suffix.lower() == ".gz" else open
    separator, form = separator_of(target), {"encoding": "utf-8", "newline": ""}
    with _replacing(target) as partial, opens(partial, "wt", **form) as stream:
        csv.writer(stream, delimiter=separator, lineterminator="\n").writerows(rows)


def _write_parquet(target: Path, table: Any) -> None:
    parquet = importlib.import_module("pyarrow.parquet")
    with _replacing(target) as partial:
        parquet.write_table(table, partial)


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Gives a file to write, which then takes the name of the target."""
    partial = target.with_name(f"{target.name}.partial")
    yield partial
    partial.replace(target)

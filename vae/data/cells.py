"""Tables on disk become columns of cells.

CSV is read by `csv` of the standard library: nothing to install, and it knows the row
of each cell, which messages name. Parquet is read by pyarrow, the reference reader, of
the extra `table`.

Rows are counted as a spreadsheet shows them: the names are row 1.
"""

import csv
import gzip
import importlib
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae.data.arrow import check_type, read_columns
from vae.data.options import reading
from vae.types import UserError

MISSING = {"", "NA", "N/A", "NaN", "nan", "null", "NULL"}  # what an empty cell holds
MOST_COLUMNS = 100_000
BLOCK = 8192  # rows of text that are held at once
NO_VALUE = dict.fromkeys(MISSING, "nan")
SKIP, TEXT, AUTO = "skip", "text", "auto"  # how a column is read
PANDAS_INDEX = "__index_level_"  # columns that pandas adds to Parquet

How = Callable[[str], str]  # name of a column -> SKIP, TEXT or AUTO


class Sheet(NamedTuple):
    """A table as it was read.

    A column is float64 [N], with nan where there is no value; or object [N] of str,
    with None where there is none, and with floats too if some cells look like numbers.
    """

    names: list[str]  # of all columns of the file
    columns: dict[str, np.ndarray]  # those that are not skipped
    rows: np.ndarray  # [N], the row in the file of each
    where: str

    def refuse(self, place: int, what: str) -> UserError:
        """Returns the error of a row; `what` follows its number."""
        return UserError(f"{self.where}: row {self.rows[place]} of the file {what}")


def read(path: Path, where: str, how: How) -> Sheet:
    """Reads a table, by the end of its name.

    Args:
      path: of the file.
      where: the field or flag and its value, for messages.
      how: says of a column, by its name, how it is read.

    Raises:
      UserError: there is no such file, or it holds no table.
    """
    readers = [r for end, r in READERS.items() if path.name.lower().endswith(end)]
    if not readers:
        raise UserError(f"{where}: the name must end in {', '.join(READERS)}")
    if path.is_dir():
        raise UserError(f"{where}: it is a folder; name a file")
    if not os.path.isfile(path):
        raise UserError(f"{where}: there is no such file")
    if not path.stat().st_size:
        raise UserError(f"{where}: the file is empty")
    with reading(where, "the table"):
        names, columns, rows = readers[0](path, where, how)
    if not len(rows):
        raise UserError(f"{where}: the file has names of columns but no rows")
    return Sheet(names, columns, rows, where)


Parts = tuple[list[str], dict[str, np.ndarray], np.ndarray]  # of a Sheet


def _read_csv(path: Path, where: str, how: How) -> Parts:
    names, rows, blocks, held = [], [], [], []
    for row, record in records(path, where):
        if not names:
            names = _checked_names([name.strip() for name in record], where)
            continue
        if len(record) != len(names):
            raise UserError(
                f"{where}: row {row} of the file has {len(record)} cells, and row 1 "
                f"has {len(names)}; cells with the separator in them need quotes"
            )
        rows.append(row)
        held.append(record)
        if len(held) == BLOCK:
            blocks.append(_parsed(names, held, how))
            held = []
    if not names:
        raise UserError(f"{where}: the file is empty")
    blocks.append(_parsed(names, held, how))
    columns = {n: _joined([block[n] for block in blocks]) for n in blocks[0]}
    return names, columns, np.array(rows)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Joins parts of a column. One without a number or text in it fits any other."""
    cells = np.concatenate([part for part in parts if len(part)] or parts)
    if cells.dtype == object:
        cells[cells != cells] = None  # nan
    return cells


def separator_of(path: Path) -> str:
    return "\t" if ".tsv" in path.name.lower() else ","


def records(path: Path, where: str) -> Iterator[tuple[int, list[str]]]:
    """Gives the rows of a text file that are not blank, each with its number."""
    row = 0
    with _opened(path) as stream:
        lines = _without_nul(stream, where)
        reader = csv.reader(lines, delimiter=separator_of(path), strict=True)
        try:
            for row, record in enumerate(reader, 1):
                if record:
                    yield row, record
        except UnicodeDecodeError as error:
            raise UserError(
                f"{where}: the text is not UTF-8, from about row {row + 1} on; save "
                "the file as CSV in UTF-8"
            ) from error
        except csv.Error as error:
            raise UserError(f"{where}: row {row + 1} of the file: {error}") from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{where}: the file is not a whole .gz") from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    opens: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opens(path, "rt", encoding="utf-8-sig", newline="") as stream:
        yield stream


def _without_nul(lines: Iterator[str], where: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise UserError(
                f"{where}: line {number} holds a NUL byte; save the file as CSV in "
                "UTF-8"
            )
        yield line


def _checked_names(names: list[str], where: str) -> list[str]:
    """Returns the names of columns, once it is clear that they are names."""
    if len(names) > MOST_COLUMNS:
        raise UserError(
            f"{where}: row 1 has {len(names)} columns; a table has {MOST_COLUMNS} at "
            "most"
        )
    if "" in names:
        raise UserError(
            f"{where}: column {names.index('') + 1} has no name in row 1; give it one "
            "(pandas: leave its index out with index=False)"
        )
    if len(names) == 1 and (separators := {*names[0]} & {*";\t|,"}):
        raise UserError(
            f"{where}: row 1 has one column, {names[0]!r}; separate the columns by "
            f"commas (in .tsv by tabs), not by {min(separators)!r}"
        )
    if all(map(is_number, names)) and not all(name.isdecimal() for name in names):
        raise UserError(
            f"{where}: row 1 holds numbers, as {names[0]}; it must hold the names of "
            "the columns"
        )
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(
            f"{where}: two columns have the name {repeated[0]!r}; rename one of them"
        )
    return names


def _parsed(
    names: Sequence[str], records: list[list[str]], how: How
) -> dict[str, np.ndarray]:
    columns = zip(*records, strict=True) if records else [()] * len(names)
    return {
        name: _parse(cells, is_text=how(name) == TEXT)
        for name, cells in zip(names, columns, strict=True)
        if how(name) != SKIP
    }


def _parse(cells: Sequence[str], *, is_text: bool) -> np.ndarray:
    """Returns cells as float64 if all are numbers or empty, else as text."""
    if not is_text and "_" not in "".join(cells):  # Python reads 1_000
        try:
            return np.fromiter(map(float, cells), np.float64, len(cells))
        except ValueError:
            pass
        try:
            numbers = (float(NO_VALUE.get(cell.strip(), cell)) for cell in cells)
            return np.fromiter(numbers, np.float64, len(cells))
        except ValueError:
            pass
    return _as_cells(cells)


def _as_cells(texts: Iterable[str | None]) -> np.ndarray:
    """Returns texts without the blanks around them, None where there is no value."""
    stripped = (text and text.strip() for text in texts)
    return as_text(None if text in MISSING else text for text in stripped)


def as_text(cells: Any) -> np.ndarray:
    """Returns str and None as an array of objects."""
    held = [*cells]
    array = np.empty(len(held), object)
    array[:] = held
    return array


def is_number(cell: Any) -> bool:
    """Whether a cell holds a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return not isinstance(cell, str) or "_" not in cell


def _read_parquet(path: Path, where: str, how: How) -> Parts:
    try:
        pyarrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(
            f"{where}: Parquet needs pyarrow: pip install pyarrow (or save the table "
            "as .csv)"
        ) from error
    try:
        # With `pre_buffer`, what is read of the file stays in memory to its end.
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            schema = file.schema_arrow
            names = [n for n in schema.names if not n.startswith(PANDAS_INDEX)]
            _checked_names(names, where)
            read = [name for name in names if how(name) != SKIP]
            for name in read:
                check_type(name, schema.field(name).type, where)
            columns = read_columns(file, {n: how(n) == TEXT for n in read}, _as_cells)
            rows = file.metadata.num_rows
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, PermissionError):
            raise
        raise UserError(f"{where}: the file is not a whole Parquet file") from error
    return names, columns, np.arange(rows) + 2


# How files are read, by the end of their name.
READERS: dict[str, Callable[[Path, str, How], Parts]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".tsv": _read_csv,
    ".tsv.gz": _read_csv,
    ".parquet": _read_parquet,
}

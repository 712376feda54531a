"""A user's table: rows become vectors, and columns keep their names and kinds."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae.data.cells import AUTO, SKIP, TEXT, Sheet, is_number, read
from vae.data.columns import BINARY, CATEGORY, COUNT, REAL, Column
from vae.data.options import IGNORE, OBSERVED_ONLY, ReadOptions, advice
from vae.data.roles import check_field, is_test_of, known_labels, labels_of, listed
from vae.data.splits import Loaded, Split, cut_test
from vae.data.storage import allocate, blocks
from vae.types import UserError

MOST_CATEGORIES = 100
LARGEST = float(np.finfo(np.float32).max)
LARGEST_COUNT = 2**24  # up to which float32 holds all integers
NUMBER_LIKE = re.compile(r"\W{0,2}\d[\d\s.,'_]*\W{0,2}")  # with commas, units, ...
TRUTH = {"true": 1.0, "false": 0.0}


def from_table(path: Path, where: str, options: ReadOptions) -> Loaded:
    """Returns the rows of a table as vectors, float32 [N, D], and its columns.

    A column of text is a category, whose values are one-hot; one of 0 and 1, or true
    and false, is binary; one of other numbers is real. `options.column_kinds` overrides
    this. Categories and kinds are those of all rows, test included.

    Raises:
      UserError: the table is not as it should be.
    """
    sheet, columns = _read(path, where, options)
    x = _encode(sheet, columns, options)
    if (np.fmin.reduce(x) == np.fmax.reduce(x)).all():
        raise UserError(f"{where}: every column has one value only")
    labels, label_names = labels_of(sheet, options)
    train, test = cut_test(Split(x, labels), is_test_of(sheet, options))
    if (unseen := np.isnan(np.fmin.reduce(train.images))).any():
        names = [column.name for column in columns for _ in range(column.width)]
        name = names[int(unseen.argmax())]
        raise UserError(
            f"{where}: column {name!r} has no value in the training rows; leave it out "
            f"with dataset.column_kinds={name}:ignore"
        )
    return Loaded(train, test, columns, label_names)


def all_of_table(
    path: Path,
    where: str,
    options: ReadOptions,
    columns: tuple[Column, ...],
    label_names: Sequence[str] | None = None,
) -> tuple[Split, list[str]]:
    """Returns all rows of another table than the run's as vectors [N, D], and their
    names.

    Args:
      path: of the file.
      where: the field or flag and its value, for messages.
      options: of the run.
      columns: of the run, found in the file by their names; (): the run has no table,
        and the columns are those of the file.
      label_names: of the run's labels, see `known_labels`; None: none are read.

    Raises:
      UserError: a column, a category or a label is not as in the run.
    """
    if columns:
        texts = {column.name: column.kind == CATEGORY for column in columns}
        hows = {name: TEXT if is_text else AUTO for name, is_text in texts.items()}
        if label_names is not None:
            hows[options.label_column] = TEXT
        sheet = read(path, where, lambda name: hows.get(name, SKIP))
        check_columns(where, columns, sheet.names)
    else:
        sheet, columns = _read(path, where, options)
    labels = known_labels(sheet, options, label_names)
    split = Split(_encode(sheet, columns, options), labels)
    return split, [f"row {row}" for row in sheet.rows]


def check_columns(where: str, columns: Sequence[Column], names: Sequence[str]) -> None:
    """Refuses a file that lacks columns of the run.

    Raises:
      UserError: names the first of them.
    """
    if absent := [c.name for c in columns if c.name not in {*names}]:
        raise UserError(
            f"{where}: it has no column {absent[0]!r}, which the model was trained on; "
            f"its columns are {listed(names)}"
        )


def _read(
    path: Path, where: str, options: ReadOptions
) -> tuple[Sheet, tuple[Column, ...]]:
    """Reads a table by the options alone; its columns are those for the model."""
    kinds, apart = options.kinds, {options.label_column, options.split_column}

    def how(name: str) -> str:
        if name in apart:
            return TEXT
        return {IGNORE: SKIP, CATEGORY: TEXT}.get(kinds.get(name, ""), AUTO)

    sheet = read(path, where, how)
    for name in kinds:
        check_field("column_kinds", name, sheet.names, where)
    columns = tuple(
        _column(name, cells, kinds.get(name, ""), sheet)
        for name, cells in sheet.columns.items()
        if name not in apart
    )
    if not columns:
        raise UserError(f"{where}: no column is left for the model")
    return sheet, columns


def _column(name: str, cells: np.ndarray, kind: str, sheet: Sheet) -> Column:
    """Describes a column for the model.

    Args:
      name: of the column.
      cells: as read.
      kind: that the user gives; "": inferred.
      sheet: that it is from.
    """
    held = {*cells.tolist()} - {None} if cells.dtype == object else None
    if held == set() or held is None and np.isnan(cells).all():
        raise UserError(
            f"{sheet.where}: column {name!r} has no value in any row; leave it out "
            f"with dataset.column_kinds={name}:ignore"
        )
    is_truth = held is not None and {str(c).lower() for c in held} <= TRUTH.keys()
    is_text = held is not None and not is_truth and not any(map(is_number, held))
    if kind != CATEGORY and (kind or not is_text):
        parts = blocks(_numbers(name, cells, sheet, kind))
        is_binary = is_truth or all(
            np.isin(part[~np.isnan(part)], (0, 1)).all() for _, part in parts
        )
        return Column(name, kind or (BINARY if is_binary else REAL))
    held = held or set()
    if not kind and all(NUMBER_LIKE.fullmatch(text) for text in held):
        place = int(np.argmax([cell is not None for cell in cells]))
        raise sheet.refuse(
            place,
            f"has {cells[place]!r} in column {name!r}, which looks like a number but "
            f"is text; write it as 1234.5, or set dataset.column_kinds={name}:category",
        )
    if len(held) > MOST_CATEGORIES:
        raise UserError(
            f"{sheet.where}: column {name!r} is text with {len(held)} different "
            f"values, more than {MOST_CATEGORIES} categories; leave it out with "
            f"dataset.column_kinds={name}:ignore"
        )
    ordered = sorted(held)
    if all(is_number(text) and not np.isnan(float(text)) for text in ordered):
        ordered.sort(key=float)  # 2 before 10
    return Column(name, CATEGORY, tuple(ordered))


def _numbers(name: str, cells: np.ndarray, sheet: Sheet, kind: str) -> np.ndarray:
    """Returns cells as float64, true and false as 1 and 0. `kind` is that of the column
    if it is known.

    Raises:
      UserError: all is text; or names the first cell that is not like most others.
    """
    if cells.dtype != object:
        return cells
    texts = {str(cell).lower() for cell in cells if cell is not None}
    if texts <= TRUTH.keys():
        return np.array([TRUTH.get(str(cell).lower(), np.nan) for cell in cells])
    number = np.array([cell is not None and is_number(cell) for cell in cells])
    known = np.array([cell is not None for cell in cells])
    if not number.any():
        is_text = [str(cell).lower() not in TRUTH for cell in cells]
        place = int(np.argmax(known & is_text))
        holds = "0 and 1, or true and false" if kind == BINARY else "numbers"
        raise sheet.refuse(
            place,
            f"has {cells[place]!r} in column {name!r}, but a {kind} column holds "
            f"{holds}: "
            + advice(
                sheet.where, f"column_kinds={name}:category or :ignore", "correct it"
            ),
        )
    if number[known].all():  # text in a Parquet file
        return np.array([np.nan if cell is None else float(cell) for cell in cells])
    is_mostly = 2 * number[known].sum() >= known.sum()
    place = int(np.argmax(known & (number != is_mostly)))
    odd, others = ("no number", "numbers") if is_mostly else ("a number", "text")
    raise sheet.refuse(
        place,
        f"has {cells[place]!r} in column {name!r}, which is {odd}, and most others are "
        f"{others}: "
        + advice(sheet.where, f"column_kinds={name}:category or :ignore", "correct it"),
    )


def _encode(
    sheet: Sheet, columns: Sequence[Column], options: ReadOptions
) -> np.ndarray:
    """Returns the rows as vectors, float32 [N, D]; a missing value is nan."""
    cells = {
        column: sheet.columns[column.name]
        if column.kind == CATEGORY
        else _numbers(column.name, sheet.columns[column.name], sheet, column.kind)
        for column in columns
    }
    x = allocate((len(sheet.rows), sum(c.width for c in columns)), np.float32)
    for start, rows in blocks(x):
        places = slice(start, start + len(rows))
        part = sheet._replace(rows=sheet.rows[places])
        encoded = [_encode_column(c, cells[c][places], part, options) for c in columns]
        np.concatenate(encoded, axis=1, out=rows)
        if (empty := np.isnan(rows).all(1)).any():
            raise part.refuse(int(empty.argmax()), "has no value at all; leave it out")
    return x


def _encode_column(
    column: Column, cells: np.ndarray, sheet: Sheet, options: ReadOptions
) -> np.ndarray:
    """Returns some cells of a column as vectors [B, its width]."""
    encode = _one_hot if column.kind == CATEGORY else _as_number
    values = encode(column, cells, sheet)
    missing = np.isnan(values).any(1)
    if options.missing != OBSERVED_ONLY and missing.any():
        fill = "fill it in, or leave out the row or the column"
        what = advice(sheet.where, f"missing={OBSERVED_ONLY}", fill)
        place = int(missing.argmax())
        raise sheet.refuse(place, f"has no value in column {column.name!r}: {what}")
    return values


def _one_hot(column: Column, cells: np.ndarray, sheet: Sheet) -> np.ndarray:
    codes: dict[Any, int] = {c: i for i, c in enumerate(column.categories)}
    rows = np.vstack([np.eye(column.width), np.full(column.width, np.nan)])
    codes[None] = len(codes)
    places = np.array([codes.get(cell, -1) for cell in cells])
    if (places < 0).any():
        place = int((places < 0).argmax())
        raise sheet.refuse(
            place,
            f"has {cells[place]!r} in column {column.name!r}, which is not one of the "
            f"categories of the training data: {listed(column.categories)}",
        )
    return rows.astype(np.float32)[places]


def _as_number(column: Column, values: np.ndarray, sheet: Sheet) -> np.ndarray:
    """Returns numbers [N, 1] of a column that is not a category."""
    known = ~np.isnan(values)
    faults = {"is too large for single precision": known & ~(abs(values) <= LARGEST)}
    if column.kind == BINARY:
        faults["is neither 0 nor 1 in a binary column"] = (values != 0) & (values != 1)
    if column.kind == COUNT:
        is_count = (values >= 0) & (values == np.floor(values))
        faults["is no count (0, 1, 2, ...)"] = ~is_count
        faults[f"is above {LARGEST_COUNT}"] = values > LARGEST_COUNT
    for what, where in faults.items():
        if (wrong := where & known).any():
            place = int(wrong.argmax())
            value, name = values[place], column.name
            raise sheet.refuse(place, f"has {value:g} in column {name!r}, which {what}")
    return values[:, np.newaxis]

"""Columns of a Parquet file, read by pyarrow some rows at a time."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from vae.data.storage import allocate
from vae.types import UserError

BLOCK = 65_536  # rows that are read at once

AsCells = Callable[[Iterable[str | None]], np.ndarray]


def read_columns(
    file: Any, is_text: Mapping[str, bool], as_cells: AsCells
) -> dict[str, np.ndarray]:
    """Reads columns of a Parquet file.

    Args:
      file: a `pyarrow.parquet.ParquetFile`.
      is_text: of each column to read, whether it is read as text whatever it holds.
      as_cells: makes an array of objects of texts.

    Returns:
      Columns [N]: float64, nan where there is no value; or of objects.
    """
    schema, length = file.schema_arrow, file.metadata.num_rows
    texts = {
        name
        for name, is_asked in is_text.items()
        if is_asked or "string" in str(schema.field(name).type)
    }
    # One array of all numbers: it is large where each column alone is not.
    numbers = iter(allocate((len(is_text) - len(texts), length), np.float64))
    columns = {
        name: np.empty(length, object) if name in texts else next(numbers)
        for name in is_text
    }
    start, known = 0, {}
    for batch in file.iter_batches(BLOCK, columns=[*columns]):
        rows = slice(start, start + batch.num_rows)
        for name, cells in columns.items():
            column = _decoded(batch.column(name))
            if name in texts:
                cells[rows] = as_cells(_texts(column, known))
            else:
                cells[rows] = _numbers(column)
        start += batch.num_rows
    return columns


def check_type(name: str, type_: Any, where: str) -> None:
    """Refuses a column of dates, lists and the like.

    Raises:
      UserError: names it and its type.
    """
    types = importlib.import_module("pyarrow.types")
    if types.is_dictionary(type_):
        type_ = type_.value_type
    kinds = "boolean", "integer", "floating", "decimal", "null", "string"
    kinds += "large_string", "string_view"
    if not any(getattr(types, f"is_{kind}")(type_) for kind in kinds):
        raise UserError(
            f"{where}: column {name!r} holds {type_}; a column holds numbers, text or "
            f"true and false: convert it, or leave it out with "
            f"dataset.column_kinds={name}:ignore"
        )


def _decoded(column: Any) -> Any:
    types = importlib.import_module("pyarrow.types")
    return column.dictionary_decode() if types.is_dictionary(column.type) else column


def _texts(column: Any, known: dict[str, str]) -> list[str | None]:
    """Returns texts; equal ones are one object, which is kept in `known`."""
    import pyarrow

    texts = column.cast(pyarrow.string()).to_pylist()
    return [text and known.setdefault(text, text) for text in texts]


def _numbers(column: Any) -> np.ndarray:
    import pyarrow

    if importlib.import_module("pyarrow.types").is_boolean(column.type):
        column = column.cast(pyarrow.int8())
    numbers = column.cast(pyarrow.float64(), safe=False)
    return numbers.to_numpy(zero_copy_only=False)

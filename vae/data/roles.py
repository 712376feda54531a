"""Columns of a table that are not for the model: labels, and train or test."""

from collections.abc import Sequence

import numpy as np

from vae.data.cells import Sheet, is_number
from vae.data.options import ReadOptions
from vae.data.splits import random_test
from vae.types import UserError

SHOWN = 10  # names or categories in a message


def labels_of(
    sheet: Sheet, options: ReadOptions
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Returns the labels int32 [N] of the column `options.label_column` of texts, if it
    is set, and their names: integers are as they are and have none; other texts are
    numbered in sorted order.

    Raises:
      UserError: there is no such column, or a row has no label.
    """
    if not options.label_column:
        return None, ()
    texts = _whole_column(sheet, "label_column", options.label_column)
    held = sorted({*texts})
    if not all(map(is_number, held)):
        names = (*map(str, held),)
        return np.searchsorted(held, texts).astype(np.int32), names
    values = np.array([float(text) for text in texts])
    if (wrong := ~((values == np.floor(values)) & (abs(values) < 2**31))).any():
        place = int(wrong.argmax())
        raise sheet.refuse(
            place,
            f"has the label {texts[place]} in column {options.label_column!r}; labels "
            "are integers of 32 bits or text",
        )
    return values.astype(np.int32), ()


def known_labels(
    sheet: Sheet, options: ReadOptions, names: Sequence[str] | None
) -> np.ndarray | None:
    """Returns the labels int32 [N] of rows of another table than the run's.

    Args:
      sheet: of the other table, which holds the column `options.label_column` as texts.
      options: of the run.
      names: of the run's labels 0, 1, ...; (): they are integers; None: labels are not
        asked for.

    Returns:
      The labels; None if they are not asked for, or the run names no such column.

    Raises:
      UserError: the file has no such column, or a label that the run does not have.
    """
    if names is None or not options.label_column:
        return None
    texts = _whole_column(sheet, "label_column", options.label_column)
    numbers = {name: i for i, name in enumerate(names)}
    is_known = [text in numbers if names else is_number(text) for text in texts]
    if not all(is_known):
        place = is_known.index(False)
        raise sheet.refuse(
            place,
            f"has the label {texts[place]!r}, but those of the model are "
            f"{listed(names) or 'integers'}; correct it, or leave the row out",
        )
    if not names:
        return labels_of(sheet, options)[0]
    return np.array([numbers[text] for text in texts], np.int32)


def is_test_of(sheet: Sheet, options: ReadOptions) -> np.ndarray:
    """Returns which rows are test [N], by the column `options.split_column` of texts if
    it is set, else at random.

    Raises:
      UserError: there is no such column, or no row is test, or none is train.
    """
    name = options.split_column
    if not name:
        is_test = random_test(len(sheet.rows), options.test_share)
    else:
        texts = _whole_column(sheet, "split_column", name)
        lower = np.array([text.lower() for text in texts])
        if (wrong := ~np.isin(lower, ("train", "test"))).any():
            place = int(wrong.argmax())
            raise sheet.refuse(
                place,
                f"has {texts[place]!r} in column {name!r}; dataset.split_column holds "
                "train and test",
            )
        is_test = lower == "test"
    if is_test.all() or not is_test.any():
        by = f"split_column={name}" if name else f"test_share={options.test_share}"
        kind = "train" if is_test.all() else "test"
        raise UserError(
            f"{sheet.where}: none of its {len(is_test)} rows is {kind} by dataset.{by}"
        )
    return is_test


def _whole_column(sheet: Sheet, field: str, name: str) -> np.ndarray:
    """Returns the texts of a column in which no row lacks one."""
    check_field(field, name, sheet.names, sheet.where)
    texts = sheet.columns[name]
    if (missing := np.array([text is None for text in texts])).any():
        place = int(missing.argmax())
        raise sheet.refuse(place, f"has no value in column {name!r}, dataset.{field}")
    return texts


def check_field(field: str, name: str, names: Sequence[str], where: str) -> None:
    """Refuses a field that names a column that is not there."""
    if name not in names:
        raise UserError(
            f"{where}: dataset.{field} names {name!r}, but the columns are "
            f"{listed(names)}"
        )


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

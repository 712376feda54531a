"""What the columns of a table are, and where they stand in a vector."""

from collections.abc import Sequence
from typing import Any, NamedTuple

REAL, BINARY, CATEGORY, COUNT = KINDS = ("real", "binary", "category", "count")


class Column(NamedTuple):
    """A column of a table.

    A category becomes several values of the vector, one for each of its categories: one
    of them is 1 and the others are 0.
    """

    name: str
    kind: str = REAL
    categories: tuple[str, ...] = ()  # in the order of their values

    @property
    def width(self) -> int:
        """How many values of the vector the column takes."""
        return len(self.categories) if self.kind == CATEGORY else 1

    @property
    def value_names(self) -> list[str]:
        if self.kind != CATEGORY:
            return [self.name]
        return [f"{self.name}={category}" for category in self.categories]


def value_names(columns: Sequence[Column], width: int) -> list[str]:
    """Returns the names of the values of a vector [width]: their numbers, if the
    columns have no names."""
    if not columns:
        return [str(i) for i in range(width)]
    return [name for column in columns for name in column.value_names]


def value_kinds(columns: Sequence[Column]) -> list[str]:
    """Returns the kind of column that each value of a vector belongs to."""
    return [column.kind for column in columns for _ in range(column.width)]


def blank(columns: Sequence[Column]) -> list[float]:
    """Returns a vector that every table could hold: zeros, and first categories."""
    return [
        float(column.kind == CATEGORY and place == 0)
        for column in columns
        for place in range(column.width)
    ]


def as_plain(columns: Sequence[Column]) -> list[list[Any]]:
    """Returns the columns as lists, which JSON can hold."""
    return [[c.name, c.kind, list(c.categories)] for c in columns]


def from_plain(plain: Sequence[Sequence[Any]]) -> tuple[Column, ...]:
    """The inverse of `as_plain`."""
    return tuple(Column(name, kind, tuple(held)) for name, kind, held in plain)

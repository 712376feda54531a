"""How a user's own files are read: the fields of `dataset` that say so."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from vae.data.columns import KINDS
from vae.types import UserError, one_of

CHANNELS = ("auto", "first", "last")  # where the axis of channels is
LARGEST_SIDE = 4096  # of pictures after resizing, in pixels
IGNORE = "ignore"  # a column that is left out
REFUSE, OBSERVED_ONLY = MISSING = ("refuse", "observed_only")  # values
TABLES = "table:PATH", "h5ad:PATH"
READ_FOR = {  # the data sets that each option is for
    "resize": ("images:DIR",),
    "skip_unreadable": ("images:DIR",),
    "channels": ("npz:PATH",),
    "missing": ("npz:PATH", "table:PATH"),
    "label_column": TABLES,
    "split_column": TABLES,
    "test_share": TABLES,
    "column_kinds": ("table:PATH",),
}


class ReadOptions(NamedTuple):
    """The fields of the same names in `dataset`."""

    resize: tuple[int, ...] = ()  # (side,) or (height, width); (): pictures stay
    skip_unreadable: bool = False  # pictures that cannot be read are left out
    # In arrays of four axes: [N, C, H, W] is "first", [N, H, W, C] is "last"; "auto" is
    # last, but refuses shapes that look like first.
    channels: str = "auto"
    missing: str = REFUSE  # or OBSERVED_ONLY: a missing value becomes nan
    label_column: str = ""  # of a table; "": it has no labels
    split_column: str = ""  # of a table, holds train and test; "": `test_share` is test
    test_share: float = 0.2
    column_kinds: tuple[str, ...] = ()  # NAME:KIND, of columns not as inferred

    @property
    def kinds(self) -> dict[str, str]:
        """The kinds of `column_kinds`, by name."""
        named = [each.rpartition(":") for each in self.column_kinds]
        return {name: kind for name, _, kind in named}

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of resized pictures, if they are resized."""
        return (self.resize[0], self.resize[-1]) if self.resize else None


DEFAULT = ReadOptions()


def read_options(config: Any) -> ReadOptions:
    """Returns the options of a configuration.

    Raises:
      UserError: `dataset.resize` is not a size, or an option is set that neither
        `dataset.name` nor `evaluate.anomalies.source` uses.
    """
    group = config.dataset
    resize = tuple(group.resize)
    if len(resize) > 2 or not all(_is_side(side) for side in resize):
        raise UserError(
            f"dataset.resize={resize} must be one side, as in 64, or height and width, "
            f"as in (48,64), in whole pixels from 1 to {LARGEST_SIDE}; or () for none"
        )
    fields = {name: group[name] for name in ReadOptions._fields}
    fields |= {"resize": resize, "column_kinds": tuple(group.column_kinds)}
    options = ReadOptions(**fields)
    _check_columns(options)
    for field, default in _unused(config).items():
        value = getattr(options, field)
        if value != default:
            raise UserError(
                f"dataset.{field}={value} applies to {' and '.join(READ_FOR[field])} "
                "only, and "
                f"dataset.name={group.name} is not of that kind: leave it at {default}"
            )
    return options


def _check_columns(options: ReadOptions) -> None:
    """Refuses options of a table that are wrong whatever the table is."""
    for each in options.column_kinds:
        name, _, kind = each.rpartition(":")
        if not name:
            raise UserError(
                f"dataset.column_kinds={each} must be NAME:KIND, as in age:{KINDS[-1]}"
            )
        one_of(f"dataset.column_kinds={name}", kind, (*KINDS, IGNORE))
    if options.split_column and options.test_share != DEFAULT.test_share:
        raise UserError(
            f"nothing reads dataset.test_share={options.test_share} while dataset."
            f"split_column={options.split_column}: leave one of them out"
        )


def drop_unused(config: Any) -> None:
    """Sets the options that the configuration's data do not use to their defaults."""
    for field, default in _unused(config).items():
        config.dataset[field] = default


def _unused(config: Any) -> dict[str, Any]:
    """Returns the options that neither `dataset.name` nor `evaluate.anomalies.source`
    uses, each with its default."""
    names = config.dataset.name, config.evaluate.anomalies.source
    kinds = {name.partition(":")[0] for name in names}
    return {
        field: default
        for field, default in DEFAULT._asdict().items()
        if not kinds & {source.partition(":")[0] for source in READ_FOR[field]}
    }


def _is_side(side: Any) -> bool:
    return type(side) is int and 1 <= side <= LARGEST_SIDE


def advice(where: str, setting: str, otherwise: str) -> str:
    """Returns what to do: set a field, or otherwise, for the data that `where` names.

    A flag names data for a finished run, whose fields are fixed.
    """
    is_flag = where.startswith("--")
    return otherwise if is_flag else f"{otherwise}, or set dataset.{setting}"


@contextmanager
def reading(where: str, what: str) -> Iterator[None]:
    """Words errors of the machine while a file is read that holds `what`."""
    try:
        yield
    except PermissionError as error:
        raise UserError(f"{where}: there is no permission to read it") from error
    except MemoryError as error:
        raise UserError(f"{where}: {what} does not fit in memory") from error

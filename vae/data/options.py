"""How a user's own files are read: the fields of `dataset` that say so."""

from typing import Any, NamedTuple

from vae.types import UserError

MISSING = REFUSE, OBSERVED_ONLY = ("refuse", "observed_only")  # what nan stand for
CHANNELS = ("auto", "first", "last")  # where the axis of channels is
LARGEST_SIDE = 4096  # of pictures after resizing, in pixels
READ_FOR = {  # the data sets that each option is for
    "resize": "images:DIR",
    "skip_unreadable": "images:DIR",
    "channels": "npz:PATH",
    "missing": "npz:PATH",
}


class ReadOptions(NamedTuple):
    """The fields of the same names in `dataset`."""

    resize: tuple[int, ...] = ()  # (side,) or (height, width); (): pictures stay
    skip_unreadable: bool = False  # pictures that cannot be read are left out
    # In arrays of four axes: [N, C, H, W] is "first", [N, H, W, C] is "last"; "auto" is
    # last, but refuses shapes that look like first.
    channels: str = "auto"
    missing: str = REFUSE  # nan: refused, or values that were not observed

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of resized pictures, if they are resized."""
        return (self.resize[0], self.resize[-1]) if self.resize else None


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
    options = ReadOptions(resize, group.skip_unreadable, group.channels, group.missing)
    for field, default in _unused(config).items():
        value = getattr(options, field)
        if value != default:
            raise UserError(
                f"dataset.{field}={value} applies to {READ_FOR[field]} only, and "
                f"dataset.name={group.name} is not of that kind: leave it at {default}"
            )
    return options


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
        for field, default in ReadOptions()._asdict().items()
        if READ_FOR[field].partition(":")[0] not in kinds
    }


def _is_side(side: Any) -> bool:
    return type(side) is int and 1 <= side <= LARGEST_SIDE


def advice(where: str, setting: str, otherwise: str) -> str:
    """Returns what to do: set a field, or otherwise, for the data that `where` names.

    A flag names data for a finished run, whose fields are fixed.
    """
    is_flag = where.startswith("--")
    return otherwise if is_flag else f"{otherwise}, or set dataset.{setting}"

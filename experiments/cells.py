"""The cells of a sweep: what the command line asks for, checked and named."""

import ast
import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from configs import default
from experiments import hints
from experiments.workdir import flatten
from vae.build import Config, operative
from vae.identity import OUTSIDE_IDENTITY
from vae.types import UserError

MAX_CELLS = 10_000  # a larger product is likely a slip, and needs --yes

Overrides = dict[str, Any]  # {"objective.beta": 4.0}


class Cell(NamedTuple):
    """One member of a sweep."""

    id: str  # names its folder; the same for the same experiment, in whichever sweep
    overrides: Overrides
    config: Config


def plan_cells(
    config: Config,
    entries: Sequence[str],
    beside: Callable[[str], Callable[[], Iterable[Overrides]]],
    *,
    allow_many: bool = False,
) -> list[Cell]:
    """Returns the product of what the entries name.

    Args:
      config: what every cell starts from.
      entries: `FIELD=V1,V2,...`, or the NAME of a generator `sweep_NAME` beside the
        config, which yields overrides. Without any, the generator is `sweep`.
      beside: gives the function of that name in the config's file.
      allow_many: whether more than 10,000 cells are meant.

    Raises:
      UserError: a field is unknown or given twice, a value is of the wrong type or
        given twice, a list is empty, or there are too many cells.
    """
    if not entries:
        axes = [list(beside("sweep")())]
    else:
        axes = [
            _values(config, entry) if "=" in entry else list(beside(f"sweep_{entry}")())
            for entry in entries
        ]
    for axis, entry in zip(axes, entries or ["sweep()"], strict=True):
        if not axis:
            raise UserError(f"--sweep={entry} is empty: give at least one value")
    count = 1
    for axis in axes:
        count *= len(axis)
    if count > MAX_CELLS and not allow_many:
        raise UserError(
            f"the sweep has {count:,} cells, more than {MAX_CELLS:,}: give --yes if "
            "that is meant"
        )
    cells = [make_cell(config, parts) for parts in itertools.product(*axes)]
    by_id: dict[str, Cell] = {}
    for cell in cells:
        if (twin := by_id.setdefault(cell.id, cell)) is not cell:
            raise UserError(
                f"two cells of the sweep are one and the same: {_written(cell)} and "
                f"{_written(twin)}; give each value once"
            )
    return cells


def _written(cell: Cell) -> str:
    return ", ".join(f"{field}={value}" for field, value in cell.overrides.items())


def _values(config: Config, entry: str) -> list[Overrides]:
    """`FIELD=V1,V2,...` as overrides."""
    field, _, text = entry.partition("=")
    if changes_nothing(field):
        raise UserError(
            f"--sweep={entry}: {field} changes nothing that is trained; give it once, "
            f"as --config.{field}=VALUE"
        )
    changed, current = config.copy_and_resolve_references(), _get(config, field)
    values: dict[str, Any] = {}
    for word in _split(text):
        try:
            value = word if isinstance(current, str) else ast.literal_eval(word)
        except (ValueError, SyntaxError, TypeError):
            value = word
        value = _set(changed, field, value)
        if repr(value) in values:
            raise UserError(f"--sweep={entry} gives {word} twice: give each value once")
        values[repr(value)] = value
    return [{field: value} for value in values.values()]


def _split(text: str) -> list[str]:
    """Splits at the commas that are within no brackets."""
    words, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            words.append("")
        else:
            words[-1] += character
    return [word.strip() for word in words if word.strip()]


def make_cell(config: Config, parts: Iterable[Overrides]) -> Cell:
    """Returns the cell of overrides that do not overlap.

    Raises:
      UserError: a field is unknown or given twice, or a value is of the wrong type.
    """
    overrides: Overrides = {}
    for part in parts:
        if not isinstance(part, dict):
            raise UserError(
                f"a sweep() must yield overrides as {{'objective.beta': 4.0}}, not "
                f"{part!r}"
            )
        if twice := sorted(overrides.keys() & part.keys()):
            raise UserError(f"--sweep gives {twice[0]} twice: give each field once")
        overrides |= part
    cell_config = override(config, overrides)
    return Cell(identify(operative(cell_config)), overrides, cell_config)


def override(config: Config, overrides: Overrides) -> Config:
    """Returns the configuration with other values.

    Raises:
      UserError: a field is unknown, or a value is of the wrong type.
    """
    changed = config.copy_and_resolve_references()
    for field, value in overrides.items():
        _set(changed, field, value)
    return changed


def _set(config: Config, field: str, value: Any) -> Any:
    """Sets a field and returns its value, which is of the field's type.

    Raises:
      UserError: the field is unknown, or the value is of the wrong type.
    """
    *groups, name = field.split(".")
    parent, current = config, _get(config, field)
    for group in groups:
        parent = parent[group]
    try:
        parent[name] = value
    except (TypeError, ValueError) as error:
        raise UserError(hints.wrong_type(field, value, current)) from error
    return parent[name]


def _get(config: Config, field: str) -> Any:
    value = config
    for part in field.split("."):
        if not hasattr(value, "items") or part not in value:
            raise UserError(hints.unknown_field(field, flatten(operative(config))))
        value = value[part]
    if hasattr(value, "items"):
        raise UserError(f"{field} is a group of fields: sweep {', '.join(value)}")
    return value


def identify(config: dict[str, Any]) -> str:
    """Returns a name of the experiment, from what decides its trained parameters.

    Fields at their defaults are left out: one that is new, and by its default changes
    nothing, must not give members that are done another name.
    """
    defaults = _flat_defaults(default.get_config)
    deciding = {
        field: value
        for field, value in flatten(config).items()
        if not changes_nothing(field) and value != defaults.get(field)
    }
    text = json.dumps(deciding, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@functools.cache
def _flat_defaults(get_config: Callable[[], Config]) -> dict[str, Any]:
    return flatten(operative(get_config()))


def changes_nothing(field: str) -> bool:
    """Says if a field has no part in what is trained."""
    return field.startswith(OUTSIDE_IDENTITY)

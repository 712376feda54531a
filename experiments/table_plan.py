"""What a table is to hold, as a config file says it.

A config file that has a table beside its `get_config` describes it by

    def table() -> dict:
        return {"seeds": (0, 1), "rows": [{"name": ..., "overrides": {}}]}

(or `table(mode)`, if rows depend on the mode), where a row's overrides,
{"objective.name": "iwae"}, change the file's config, each with every seed. Optional are

of a row: "group" (rows of one group share a table); "published" (the paper's values,
  {"NLL": 86.76}, or a text); "differs" (what of its settings does); "tolerance"
  ({"NLL": 0.5}, stated before the run);
of the table: "columns" (results to show beside the usual ones, as {"MIG":
  "disentanglement/mig"}, or an entry of a list, as in
  "latent/active_units_per_group[0]", or a text, as {"verdict": "collapse"}); "mean" (if
  true, the last row of a group is the mean of the others); "source", "differs" and
  "tolerance", of all rows; "claims"
  ({"says": ..., "column": "NLL", "order": names of rows, the lowest first, "by": how
  much lower each is}; or {"says": ..., "row": a name, "order": columns and numbers});
  "plane" (two columns, against each other in the plot); "notes" (a text below about the
  results of the config as the file gives it without a mode: it is left out where
  another config is run, or a row is missing).
A "differs" that depends on the config, as a number of steps does, is a function: of the
row's config for a row, of the run's config for the table.
"""

import math
from collections.abc import Callable
from typing import Any

from vae.types import UserError

COLUMNS = {
    "NLL": "nll",
    "rate": "test/rate_nats",
    "distortion": "test/distortion_nats",
    "active units": "latent/active_units",
}
ABOUT = ("source", "differs", "tolerance", "claims", "plane", "notes")
LIST, NUMBER, TEXT = (list, tuple), (int, float), (str, Callable)
TABLE = {
    "seeds": LIST,
    "rows": LIST,
    "columns": dict,
    "mean": bool,
    "source": str,
    "differs": TEXT,
    "tolerance": dict,
    "claims": LIST,
    "plane": LIST,
    "notes": str,
}
ROW = {
    "name": str,
    "overrides": dict,
    "group": str,
    "published": (dict, str),
    "differs": TEXT,
    "tolerance": dict,
}
CLAIM = {"says": str, "column": str, "row": str, "order": LIST, "by": NUMBER}
WORDS = {
    str: "a text",
    dict: "a dict",
    bool: "True or False",
    LIST: "a list",
    NUMBER: "a number",
    TEXT: "a text, or a function from a config to a text",
    (dict, str): "a dict, as in {'NLL': 86.76}, or a text",
}
FORM = '{"seeds": (0, 1), "rows": [{"name": ..., "overrides": {}}]}'


def check_plan(plan: Any) -> dict[str, Any]:
    """Returns a plan with defaults for what it does not say.

    Raises:
      UserError: something is missing, misspelt, of another type, there twice, or about
        a row or a column that the table does not have.
    """
    if not isinstance(plan, dict):
        raise UserError(f"table() must return {FORM}")
    _check_entry(plan, "table()", TABLE, needed=("seeds", "rows"))
    if not plan["seeds"] or not plan["rows"]:
        raise UserError(f"table() must have a seed and a row, as in {FORM}")
    if wrong := [seed for seed in plan["seeds"] if type(seed) is not int]:
        raise UserError(f"the seed {wrong[0]!r} of table() must be a whole number")
    _refuse_repeated("two seeds of table() are", plan["seeds"])
    for row in plan["rows"]:
        _check_row(row)
    names = [row["name"] for row in plan["rows"]]
    _refuse_repeated("two rows of table() are called", names)
    titles = {**COLUMNS, **plan.get("columns", {})}
    _check_texts("columns", titles)
    for entry in (plan, *plan["rows"]):
        _check_numbers(entry, titles)
    plane = plan.get("plane", ("NLL", "rate"))
    if len(plane) != 2 or not all(title in [*titles] for title in plane):
        raise UserError(f"the 'plane' of table() must be two of {', '.join(titles)}")
    groups = {row.get("group", "row") for row in plan["rows"] if plan.get("mean")}
    means = [f"mean of {group}s" for group in groups]
    for claim in plan.get("claims", ()):
        _check_claim(claim, titles, [*names, *means])
    rows = [{"group": "row", **row} for row in plan["rows"]]
    defaults = {"columns": {}, "mean": False}
    return {**defaults, **plan, "seeds": tuple(plan["seeds"]), "rows": rows}


def with_texts(entry: dict[str, Any], config: Any) -> dict[str, Any]:
    """Returns a table or a row with the texts that its functions make of a config; an
    empty one is left out."""
    texts = {
        key: value(config) if isinstance(value, Callable) else value
        for key, value in entry.items()
    }
    return {key: value for key, value in texts.items() if value != ""}


def _check_row(row: Any) -> None:
    if not isinstance(row, dict):
        raise UserError(f"the row {row!r} of table() must be a dict, as in {FORM}")
    what = f"the row {row.get('name')!r} of table()"
    _check_entry(row, what, ROW, needed=("name", "overrides"))
    for field in row["overrides"]:
        if not isinstance(field, str):
            raise UserError(f"{what} overrides {field!r}, which is no field's name")
        if field in ("seed", "evaluate.bounds.importance_samples"):
            raise UserError(
                f"{what} overrides {field}, which is one for all rows: see 'seeds' of "
                "table(), and the config"
            )


def _check_claim(claim: Any, titles: dict[str, str], names: list[str]) -> None:
    if not isinstance(claim, dict):
        raise UserError(f"the claim {claim!r} of table() must be a dict")
    what = f"the claim {claim.get('says')!r} of table()"
    of_row = "row" in claim
    _check_entry(claim, what, CLAIM, ("says", "row" if of_row else "column", "order"))
    order, entry = claim["order"], claim["row" if of_row else "column"]
    known, among = (names, titles) if of_row else (titles, names)
    named = [each for each in order if not (of_row and isinstance(each, float))]
    if entry not in known or not named or not all(each in among for each in named):
        raise UserError(
            f"{what} is about a column or a row that the table does not have"
        )
    if len(order) < 2:
        raise UserError(f"{what} must have two or more in its order")


def _check_entry(
    entry: dict[str, Any], what: str, types: dict[str, Any], needed: tuple[str, ...]
) -> None:
    """Refuses an entry that lacks a key, or has one that nothing reads, or a value of
    another type."""
    if missing := [key for key in needed if key not in entry]:
        raise UserError(f"{what} has no {missing[0]!r}")
    for key, value in entry.items():
        if key not in types:
            raise UserError(
                f"{what} has {key!r}, which nothing reads: choose from "
                f"{', '.join(sorted(types))}"
            )
        if not isinstance(value, types[key]):
            raise UserError(
                f"{what} has a {key!r} of {value!r}: give {WORDS[types[key]]}"
            )


def _check_texts(what: str, texts: dict[Any, Any]) -> None:
    for pair in texts.items():
        if wrong := [text for text in pair if not isinstance(text, str)]:
            raise UserError(f"the {what} of table() have {wrong[0]!r}: give a text")


def _check_numbers(entry: dict[str, Any], titles: dict[str, str]) -> None:
    """Refuses published values and tolerances that are no numbers, or of columns that
    nothing shows."""
    for key in ("published", "tolerance"):
        numbers = entry.get(key, {})
        for title, value in numbers.items() if isinstance(numbers, dict) else ():
            if title not in titles:
                raise UserError(
                    f"table() has a {key!r} of {title!r}, which is none of its "
                    f"columns: {', '.join(titles)}"
                )
            if not isinstance(value, NUMBER) or not math.isfinite(value):
                raise UserError(f"table() has a {key!r} of {value!r}: give a number")
            if key == "tolerance" and value < 0:
                raise UserError(f"table() has a tolerance of {value!r}, below zero")


def _refuse_repeated(what: str, values: Any) -> None:
    if twice := [value for value in values if values.count(value) > 1]:
        raise UserError(f"{what} {twice[0]!r}: give each its own")

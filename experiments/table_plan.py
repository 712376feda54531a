"""What a table is to hold, as a config file says it.

A config file that has a table beside its `get_config` describes it by

    def table() -> dict:
        return {"seeds": (0, 1), "rows": [{"name": ..., "overrides": {}}]}

(or `table(mode)`, if rows depend on the mode), where a row's overrides,
{"objective.name": "iwae"}, change the file's config. Optional are

of a row: "group" (rows of one group share a table); "published" (the paper's values,
  {"NLL": 86.76}, or a text); "differs" (what of its settings does); "tolerance"
  ({"NLL": 0.5}, stated before the run);
of the table: "columns" (results to show beside the usual ones, as {"MIG":
  "disentanglement/mig"}); "mean" (if true, the last row of a group is the mean of the
  others); "source", "differs" and "tolerance", of all rows; "claims" ({"says": ...,
  "column": "NLL", "order": names of rows, the lowest first, "by": how much lower each
  is}); "plane" (two columns, against each other in the plot); "notes" (a text below).
"""

from typing import Any

from vae.types import UserError

COLUMNS = {
    "NLL": "nll",
    "rate": "test/rate_nats",
    "distortion": "test/distortion_nats",
    "active units": "latent/active_units",
}
TABLE_NEEDED, ROW_NEEDED = {"seeds", "rows"}, {"name", "overrides"}
ROW_KEYS = ROW_NEEDED | {"group", "published", "differs", "tolerance"}
CLAIM_KEYS = {"says", "column", "order", "by"}
ABOUT = {"source", "differs", "tolerance", "claims", "plane", "notes"}


def check_plan(plan: Any) -> dict[str, Any]:
    """Refuses a plan that does not say what to run.

    Raises:
      UserError: something is missing, misspelt or there twice.
    """
    form = '{"seeds": (0, 1), "rows": [{"name": ..., "overrides": {}}]}'
    if not isinstance(plan, dict):
        raise UserError(f"table() must return {form}")
    _check_keys(
        plan, "table()", TABLE_NEEDED, TABLE_NEEDED | {"columns", "mean"} | ABOUT
    )
    seeds, columns = plan["seeds"], plan.get("columns", {})
    if not isinstance(seeds, list | tuple) or not (seeds and plan["rows"]):
        raise UserError(f"table() must have a seed and a row, as in {form}")
    if wrong := [seed for seed in seeds if type(seed) is not int]:
        raise UserError(f"the seed {wrong[0]!r} of table() must be a whole number")
    if not isinstance(columns, dict):
        raise UserError(f"the columns {columns} of table() must be {{TITLE: RESULT}}")
    names: set[str] = set()
    for row in plan["rows"]:
        if not isinstance(row, dict) or not isinstance(row.get("overrides", {}), dict):
            raise UserError(f"the row {row} of table() must be as in {form}")
        _check_keys(row, f"the row {row.get('name')} of table()", ROW_NEEDED, ROW_KEYS)
        if row["name"] in names:
            raise UserError(
                f"two rows of table() are called {row['name']!r}: give each a name of "
                "its own"
            )
        names.add(row["name"])
    _check_columns(plan, names)
    rows = [{"group": "row", **row} for row in plan["rows"]]
    return {
        "columns": {},
        "mean": False,
        **plan,
        "seeds": tuple(plan["seeds"]),
        "rows": rows,
    }


def _check_keys(
    entry: dict[str, Any], what: str, needed: set[str], allowed: set[str]
) -> None:
    """Refuses an entry that lacks a key, or has one that nothing reads."""
    if missing := needed - set(entry):
        raise UserError(f"{what} has no {min(missing)!r}")
    if unknown := set(entry) - allowed:
        raise UserError(
            f"{what} has {min(unknown)!r}, which nothing reads: choose from "
            f"{', '.join(sorted(allowed))}"
        )


def _check_columns(plan: dict[str, Any], names: set[str]) -> None:
    """Refuses values of columns, and claims about columns or rows, that nothing
    shows."""
    titles = {*COLUMNS, *plan.get("columns", {})}
    of_columns = [
        ("plane", plan.get("plane", ())),
        ("tolerance", plan.get("tolerance")),
    ]
    for row in plan["rows"]:
        of_columns += [(key, row.get(key)) for key in ("published", "tolerance")]
    for key, columns in of_columns:
        if not isinstance(columns, str) and (missing := {*(columns or ())} - titles):
            raise UserError(
                f"table() has a {key!r} of {min(missing)!r}, which is none of its "
                f"columns: {', '.join(sorted(titles))}"
            )
        if isinstance(columns, dict) and (
            wrong := [v for v in columns.values() if not isinstance(v, int | float)]
        ):
            raise UserError(f"table() has a {key!r} of {wrong[0]!r}: give a number")
    for claim in plan.get("claims", ()):
        if not {"says", "column", "order"} <= set(claim) <= CLAIM_KEYS:
            raise UserError(
                f"the claim {claim} of table() must have says, column and order, and "
                "may have by"
            )
        if claim["column"] not in titles or not set(claim["order"]) <= names:
            raise UserError(
                f"the claim {claim['says']!r} of table() is about a column or a row "
                "that the table does not have"
            )

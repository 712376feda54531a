"""Runs the rows of a table, each with several seeds, and writes the table.

What a config file says of it stands in `table_plan`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from experiments import members, origin, sweep, table_plots, tables, workdir
from experiments.agreement import score_agreement
from experiments.cells import Cell, make_cell
from experiments.page import command_line
from experiments.table_plan import ABOUT, COLUMNS, check_plan, with_texts
from experiments.terminal import say
from vae.build import Config, operative
from vae.types import UserError

Row = dict[str, Any]
UNTOLD = ("train.log_every", "train.evaluate_every")  # change no result either


def run(
    config: Config,
    table: Callable[[], dict[str, Any]],
    folder: Path,
    *,
    title: str = "",
    own: Config | None = None,
    executor: str | None = None,
    address: str = "",
) -> None:
    """Trains and evaluates what is not there yet, then writes `table.md`, `table.json`
    and `table.png`.

    The members are those of a sweep. The table is written before the first, after each
    and when it is interrupted, with what there is. A row that fails, or is not done, is
    marked with the reason; it does not stop the others.

    Args:
      config: what the rows change.
      table: see `table_plan`.
      folder: of the table.
      title: of the table.
      own: the config that the table's file gives without a mode; None: `config`.
      executor: see `sweep.run`.
      address: see `sweep.run`.

    Raises:
      UserError: the table is malformed, or the folder cannot be used.
    """
    plan, executor = check_plan(table()), sweep.choose_executor(executor)
    plan = with_texts(plan, config)
    changed = _changes(config, config if own is None else own)
    said: set[str] = set()
    rows = [
        _plan_row(row, config, plan, executor, folder, said) for row in plan["rows"]
    ]
    failures: dict[str, UserError] = {}

    def write() -> None:
        outcomes = [row | _outcome(row, folder, failures) for row in rows]
        written = {"title": title} | _gather(plan, outcomes, config, changed)
        workdir.write_json(folder / "table.json", written)
        workdir.write_text(folder / "table.md", tables.as_markdown(written))

    def note(cell: Cell, error: UserError | None) -> None:
        if error is not None:
            failures[cell.id] = error
        write()

    with workdir.locked(folder):
        cells = {cell.id: cell for row in rows for cell in row["cells"]}
        write()
        try:
            sweep.do_members([*cells.values()], folder, executor, address, note)
        finally:
            write()
            table_plots.draw(
                workdir.read_json(folder / "table.json"), folder / "table.png"
            )
    say(f"written to {folder}/table.md")
    done = workdir.read_json(folder / "table.json") or {"rows": ()}
    shown = {
        title
        for row in done["rows"]
        for title in {*row.get("values", ()), *row.get("texts", ())}
    }
    for title in plan["columns"]:
        if shown and title not in shown:
            say(f"no row has a value for the column {title}")
    if missing := sum("missing" in row for row in done["rows"]):
        say(f"missing: {missing} of {len(done['rows'])} rows; the table says why")


def _plan_row(
    row: Row,
    config: Config,
    plan: dict[str, Any],
    executor: str,
    folder: Path,
    said: set[str],
) -> Row:
    """Adds to a row its cells, or none and why it is `missing`; what is done stands,
    even if its data are no longer there. Notes that are not yet `said` are printed."""
    overrides = row["overrides"]
    try:
        cells = [make_cell(config, (overrides, {"seed": s})) for s in plan["seeds"]]
        left = [cell for cell in cells if sweep.state_of(cell, folder)[0] != "done"]
        members.check(left, alone=executor == "serial", said=said)
    except UserError as error:
        say(f"row {row['name']}: {error}")
        row = with_texts(row, config)
        return {**row, "cells": [], "missing": str(error)}
    return {**with_texts(row, cells[0].config), "cells": cells}


def _changes(config: Config, own: Config) -> dict[str, list[Any]]:
    """Returns the fields, but for those that change no result, that differ from those
    of the table's own config: what is run, and what is in that."""
    now, before = (workdir.flatten(operative(each)) for each in (config, own))
    return {
        field: [now.get(field), before.get(field)]
        for field in sorted({*now, *before})
        if now.get(field) != before.get(field)
        and field not in UNTOLD
        and not field.startswith("runtime.")
    }


def _outcome(row: Row, folder: Path, failures: dict[str, UserError]) -> dict[str, Any]:
    """Returns {"results": a list of each seed's, "commits": ...} or {"missing": the
    reason}, which for cells that could not be done is among `failures`, by id."""
    if "missing" in row:
        return {}
    for cell in row["cells"]:
        status, told = sweep.state_of(cell, folder)
        if status != "done":
            told = failures.get(cell.id, told)
            return {"missing": f"seed {cell.config.seed}: {told}"}
    folders = [members.folder_of(cell, folder) for cell in row["cells"]]
    results = [workdir.read_results(place) for place in folders]
    agreement = score_agreement(folders)
    launches = [
        launch
        for place in folders
        for launch in workdir.read_json(place / "provenance.json")["launches"]
    ]
    return {
        "results": [a | b for a, b in zip(results, agreement, strict=True)],
        "commits": sorted({origin.short(each["git_commit"]) for each in launches}),
        # Earlier versions did not say.
        "machines": sorted({each.get("machine", "not recorded") for each in launches}),
    }


def _gather(
    plan: dict[str, Any],
    rows: Sequence[Row],
    config: Config,
    changed: dict[str, list[Any]],
) -> dict[str, Any]:
    """Returns what `table.json` holds: see `tables`."""
    if changed or any("missing" in row for row in rows):
        plan = {key: value for key, value in plan.items() if key != "notes"}
    columns = COLUMNS | plan["columns"]
    names = {title: _result_name(key, config) for title, key in columns.items()}
    shown = [_with_values(row, names) for row in rows]
    if plan["mean"]:
        groups = dict.fromkeys(row["group"] for row in shown)
        shown += [
            _mean_row(group, [row for row in shown if row["group"] == group], names)
            for group in groups
        ]
    done = [result for row in shown for result in row.get("results", ())]
    machines = sorted({name for row in shown for name in row.get("machines", ())})
    return {
        "command": command_line(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": "; ".join(machines) or origin.machine(),
        "seeds": plan["seeds"],
        "samples": config.evaluate.bounds.importance_samples,
        "hours": sum(result["train/seconds"] for result in done) / 3600,
        "commits": sorted({c for row in shown for c in row.get("commits", ())}),
        "columns": [*columns],
        "units": {t: "nats" for t, name in names.items() if name.endswith("_nats")},
        **({"changed": changed} if changed else {}),
        **{key: plan[key] for key in ABOUT & plan.keys()},
        "rows": shown,
    }


def _result_name(key: str, config: Config) -> str:
    samples = config.evaluate.bounds.importance_samples
    return f"test/nll_is{samples}_nats" if key == "nll" else key


def _with_values(row: Row, names: dict[str, str]) -> dict[str, Any]:
    """Returns a row without its cells, with the `values` of the columns that it has."""
    row = {key: value for key, value in row.items() if key != "cells"}
    if "results" not in row:
        return row
    values = {}
    for title, name in names.items():
        numbers = _numbers(row["results"], name)
        if len(numbers) == len(row["results"]):
            values[title] = tables.summarize(numbers)
    texts = {
        title: tables.summarize_texts([result[name] for result in row["results"]])
        for title, name in names.items()
        if all(isinstance(result.get(name), str) for result in row["results"])
    }
    own = {"values": values, **({"texts": texts} if texts else {})}
    return row | own | _kl_of_dimensions(row["results"])


def _numbers(results: Sequence[dict[str, Any]], name: str) -> list[float]:
    """Returns the numbers of a name, as in "test/rate_nats", or the entries of lists,
    as in "latent/active_units_per_group[0]", of those results that have one."""
    key, _, place = name.removesuffix("]").partition("[")
    found = [result.get(key) for result in results]
    if place.isdecimal():
        lists = [value for value in found if isinstance(value, list)]
        found = [value[int(place)] for value in lists if int(place) < len(value)]
    return [value for value in found if isinstance(value, int | float)]


def _kl_of_dimensions(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the `kl_per_dim`, the largest first, averaged over seeds; nothing if the
    rate is no sum over dimensions."""
    name = "latent/kl_per_dim"
    if not all(name in result for result in results):
        return {}
    kls = np.array([np.sort(result[name])[::-1] for result in results])
    return {"kl_per_dim": kls.mean(axis=0).tolist()}


def _mean_row(group: str, rows: Sequence[Row], names: dict[str, str]) -> dict[str, Any]:
    """Returns a row whose results are, seed by seed, the means of these rows'."""
    mean: dict[str, Any] = {"name": f"mean of {group}s", "group": group}
    published: list[Any] = [row.get("published") for row in rows]
    if all(isinstance(values, dict) for values in published):
        mean["published"] = {
            title: float(np.mean([values[title] for values in published]))
            for title in names
            if all(title in values for values in published)
        }
    if missing := [row["name"] for row in rows if "missing" in row]:
        return mean | {"missing": f"without {', '.join(missing)}"}
    by_seed = [*zip(*(row["results"] for row in rows), strict=True)]
    values = {}
    for title, name in names.items():
        found = [_numbers(results, name) for results in by_seed]
        if all(len(numbers) == len(rows) for numbers in found):
            means = [float(np.mean(numbers)) for numbers in found]
            values[title] = tables.summarize(means)
    return mean | {"values": values}

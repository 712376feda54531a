"""Runs the rows of a table, each with several seeds, and writes the table.

A config file that has a table beside its `get_config` describes it by

    def table() -> dict:
        return {"seeds": (0, 1), "rows": [{"name": ..., "overrides": {}}]}

where a row's overrides, {"objective.name": "iwae"}, change the file's config. Optional
are a row's "group" (rows of one group share a table) and "published" (text that is set
beside our values), and the table's "columns" (results to show beside the usual ones, as
{"MIG": "disentanglement/mig"}) and "mean" (if true, the last row of a group is the mean
of the others).
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import members, sweep, workdir
from experiments.cells import make_cell
from experiments.codes import score_agreement
from experiments.terminal import say
from vae.build import Config
from vae.evaluation.evaluate import standard_error
from vae.types import UserError

COLUMNS = {
    "NLL": "nll",
    "rate": "test/rate_nats",
    "distortion": "test/distortion_nats",
    "active units": "latent/active_units",
}
ROW_KEYS = {"name", "group", "overrides", "published"}


def run(
    config: Config,
    table: Callable[[], dict[str, Any]],
    folder: Path,
    *,
    executor: str | None = None,
    address: str = "",
) -> None:
    """Trains and evaluates what is not there yet, then writes `table.md`, `table.json`.

    The members are those of a sweep. The table is written after each of them, with what
    there is. A row that fails is marked with the reason and does not stop the others.

    Raises:
      UserError: the table is malformed, or the folder cannot be used.
    """
    plan, executor = _checked(table()), sweep.choose_executor(executor)
    rows = [_plan_row(config, row, plan["seeds"], executor) for row in plan["rows"]]

    def write() -> None:
        done = [row | _outcome(row, folder) for row in rows]
        kept = [{k: v for k, v in row.items() if k != "cells"} for row in done]
        workdir.write_json(folder / "table.json", {"rows": kept})
        (folder / "table.md").write_text(_markdown(done, plan, config))

    with workdir.locked(folder):
        cells = {cell.id: cell for row in rows for cell in row["cells"]}
        sweep.do_members([*cells.values()], folder, executor, address, on_member=write)
        write()
    say(f"written to {folder}/table.md")


def _plan_row(
    config: Config, row: dict[str, Any], seeds: Sequence[int], executor: str
) -> dict[str, Any]:
    """Adds to a row its cells, or none and why it `failed`."""
    try:
        cells = [make_cell(config, (row["overrides"], {"seed": s})) for s in seeds]
        members.check(cells, alone=executor == "serial")
    except UserError as error:
        say(f"row {row['name']}: {error}")
        return {**row, "cells": [], "failed": str(error)}
    return {**row, "cells": cells}


def _outcome(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Returns {"results": a list of each seed's} or {"failed": the reason}."""
    if "failed" in row:
        return {}
    for cell in row["cells"]:
        status, told = sweep.state_of(cell, folder)
        if status != "done":
            return {"failed": f"seed {cell.config.seed}: {told}"}
    folders = [members.folder_of(cell, folder) for cell in row["cells"]]
    results = [workdir.read_json(place / "results.json") for place in folders]
    agreement = score_agreement(folders)
    return {"results": [a | b for a, b in zip(results, agreement, strict=True)]}


def _checked(plan: Any) -> dict[str, Any]:
    """Refuses a plan that does not say what to run.

    Raises:
      UserError: something is missing, misspelt or there twice.
    """
    form = (
        '{"seeds": (0, 1), "rows": [{"name": ..., "overrides": {}}]}, where a row may '
        'have a "group" and "published", and the table "columns": {TITLE: RESULT} and '
        '"mean": True'
    )
    needed = {"seeds", "rows"}
    allowed = needed | {"columns", "mean"}
    if not isinstance(plan, dict) or not needed <= set(plan) <= allowed:
        raise UserError(f"table() must return {form}")
    if not isinstance(plan.get("columns", {}), dict):
        raise UserError(
            f"the columns {plan['columns']} of table() must be as in {form}"
        )
    names: set[str] = set()
    for row in plan["rows"]:
        keys = set(row) if isinstance(row, dict) else set()
        if not {"name", "overrides"} <= keys <= ROW_KEYS:
            raise UserError(f"the row {row} of table() must be as in {form}")
        if row["name"] in names:
            raise UserError(
                f"two rows of table() are called {row['name']!r}: give each a name of "
                "its own"
            )
        names.add(row["name"])
    rows = [{"group": "row", **row} for row in plan["rows"]]
    return {
        "columns": {},
        "mean": False,
        **plan,
        "seeds": tuple(plan["seeds"]),
        "rows": rows,
    }


def _markdown(rows: list[dict[str, Any]], plan: dict[str, Any], config: Config) -> str:
    columns, seeds = COLUMNS | plan["columns"], plan["seeds"]
    header = [*columns, "KL per dimension: largest, median, smallest"]
    if any("published" in row for row in rows):
        header.append("published")
    lines = [
        f"Written by `python {' '.join(sys.argv)}`, commit "
        f"{workdir.git_commit()[:12]}.",
        "",
        f"Mean and standard error over the seeds {seeds}; likelihoods and divergences "
        "in nats. NLL is the importance-weighted bound with "
        f"{config.evaluate.importance_samples} samples. A dash stands for what a row "
        "does not have, such as a KL that is a sum over dimensions.",
    ]
    for group in dict.fromkeys(row["group"] for row in rows):
        lines += ["", f"| {group} | {' | '.join(header)} |"]
        lines.append("|---" * (len(header) + 1) + "|")
        of_group = [row for row in rows if row["group"] == group]
        if plan["mean"]:
            of_group.append(_mean_row(of_group))
        for row in of_group:
            cells = [row["name"], *_cells(row, columns, config)]
            if header[-1] == "published":
                cells.append(str(row.get("published", "")))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns a row whose results are, seed by seed, the means of these rows'."""
    if failed := [row["name"] for row in rows if "failed" in row]:
        return {"name": "mean", "failed": f"without {', '.join(failed)}"}
    by_seed = zip(*(row["results"] for row in rows), strict=True)
    means = [
        {
            name: float(np.mean([of_row[name] for of_row in results]))
            for name, value in results[0].items()
            if isinstance(value, (int, float)) and all(name in r for r in results)
        }
        for results in by_seed
    ]
    return {"name": "mean", "results": means}


def _cells(
    row: dict[str, Any], columns: dict[str, str], config: Config
) -> Iterator[str]:
    if "failed" in row:
        yield f"failed: {row['failed']}"
        yield from [""] * len(columns)
        return
    nll = f"test/nll_is{config.evaluate.importance_samples}_nats"
    for key in columns.values():
        name = nll if key == "nll" else key
        if not all(name in results for results in row["results"]):
            yield "-"
            continue
        values = np.array([results[name] for results in row["results"]])
        error = f" +- {standard_error(values):.2f}" if len(values) > 1 else ""
        yield f"{values.mean():.2f}{error}"
    kls = [r["latent/kl_per_dim"] for r in row["results"] if "latent/kl_per_dim" in r]
    mean = np.sort(np.mean([np.sort(kl) for kl in kls], 0)) if kls else np.array([])
    middle = (mean[-1], np.median(mean), mean[0]) if kls else ()
    yield ", ".join(f"{kl:.2f}" for kl in middle) or "-"

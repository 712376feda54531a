"""Runs the rows of a table, each with several seeds, and writes the table.

A config file that has a table beside its `get_config` describes it by

    def table() -> dict:
        return {"seeds": (0, 1), "rows": [{"name": ..., "overrides": {}}]}

where a row's overrides, {"objective.name": "iwae"}, change the file's config. Optional
are a row's "group" (rows of one group share a table) and "published" (text that is set
beside our values), and the table's "columns" (results to show beside the usual ones, as
{"MIG": "disentanglement/mig"}).
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import train, workdir
from experiments.cells import override
from experiments.codes import score_agreement
from experiments.terminal import say
from vae.build import Config
from vae.evaluation.evaluate import standard_error
from vae.training.loop import Diverged
from vae.types import UserError

COLUMNS = {
    "NLL": "nll",
    "rate": "test/rate_nats",
    "distortion": "test/distortion_nats",
    "active units": "latent/active_units",
}
ROW_KEYS = {"name", "group", "overrides", "published"}


def run(config: Config, table: Callable[[], dict[str, Any]], folder: Path) -> None:
    """Trains and evaluates what is not there yet, then writes `table.md`, `table.json`.

    The table is written after every row, with what there is. A row that fails is
    marked with the reason and does not stop the others.
    """
    plan = _checked(table())
    columns = COLUMNS | plan["columns"]
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for row in plan["rows"]:
        say(f"row {len(rows) + 1} of {len(plan['rows'])}: {row['name']}")
        rows.append({**row, **_run_row(config, row, plan["seeds"], folder)})
        workdir.write_json(folder / "table.json", {"rows": rows})
        text = _markdown(rows, columns, plan["seeds"], config)
        (folder / "table.md").write_text(text)
    say(f"written to {folder}/table.md")


def _checked(plan: Any) -> dict[str, Any]:
    """Refuses a plan that does not say what to run.

    Raises:
      UserError: something is missing, misspelt or there twice.
    """
    form = (
        '{"seeds": (0, 1), "rows": [{"name": ..., "overrides": {}}]}, where a row may '
        'have a "group" and "published", and the table {"columns": {TITLE: RESULT}}'
    )
    needed = {"seeds", "rows"}
    if not isinstance(plan, dict) or not needed <= set(plan) <= needed | {"columns"}:
        raise UserError(f"table() must return {form}")
    if not isinstance(plan.get("columns", {}), dict):
        raise UserError(
            f"the columns {plan['columns']} of table() must be as in {form}"
        )
    slugs: dict[str, str] = {}
    for row in plan["rows"]:
        keys = set(row) if isinstance(row, dict) else set()
        if not {"name", "overrides"} <= keys <= ROW_KEYS:
            raise UserError(f"the row {row} of table() must be as in {form}")
        if twin := slugs.get(_slug(row["name"])):
            raise UserError(
                f"the rows {twin!r} and {row['name']!r} of table() would share a "
                "folder: give each a name of its own"
            )
        slugs[_slug(row["name"])] = row["name"]
    rows = [{"group": "row", **row} for row in plan["rows"]]
    return {"columns": {}, **plan, "seeds": tuple(plan["seeds"]), "rows": rows}


def _slug(name: str) -> str:
    """Returns the row's folder."""
    return "".join(c if c.isalnum() else "_" for c in name.lower())


def _run_row(
    config: Config, row: dict[str, Any], seeds: tuple[int, ...], folder: Path
) -> dict[str, Any]:
    """Returns {"results": a list of each seed's} or {"failed": the reason}."""
    results = []
    place = folder / "members" / _slug(row["name"])
    folders = [place / f"seed_{seed}" for seed in seeds]
    for seed, member_folder in zip(seeds, folders, strict=True):
        try:
            member = override(config, {**row["overrides"], "seed": seed})
            train.run(member, member_folder)
        except (Diverged, UserError) as error:
            say(f"row {row['name']}: {error}")
            return {"failed": f"seed {seed}: {error}"}
        finally:
            jax.clear_caches()  # the programs of a row serve no other
        results.append(workdir.read_json(member_folder / "results.json"))
    agreement = score_agreement(folders)
    return {"results": [a | b for a, b in zip(results, agreement, strict=True)]}


def _markdown(
    rows: list[dict[str, Any]],
    columns: dict[str, str],
    seeds: tuple[int, ...],
    config: Config,
) -> str:
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
        for row in (row for row in rows if row["group"] == group):
            cells = [row["name"], *_cells(row, columns, config)]
            if header[-1] == "published":
                cells.append(str(row.get("published", "")))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


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

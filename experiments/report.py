"""What a sweep leaves: `results.csv`, `summary.csv` and `report.html`."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments import page, plots, workdir
from vae.evaluation.evaluate import standard_error

Row = dict[str, Any]  # of results.csv, lists as they are

# Rows that differ in one of these may not be compared by their likelihoods.
ALIKE = (
    "dataset.name",
    "dataset.binarize",
    "data_sha256",
    "model.likelihood.name",
    "evaluate.importance_samples",
    "precision",
)
SHOWN_CELLS = 60  # pictures of more would make the page too large to open
PICTURES = ("samples", "reconstructions")


def write(rows: Sequence[Row], swept: Sequence[str], folder: Path) -> None:
    """Writes the three files.

    Args:
      rows: one for each member.
      swept: the fields that differ between cells; seeds of one cell are averaged.
      folder: of the sweep.
    """
    groups = comparable_groups(rows)
    rows = [
        {**row, "comparable": group} for row, group in zip(rows, groups, strict=True)
    ]
    _write_csv(folder / "results.csv", rows)
    summary = summarize(rows, swept)
    _write_csv(folder / "summary.csv", [_flat(cell) for cell in summary])
    report = page.render(
        "report.html.jinja",
        name=folder.name,
        rows=rows,
        summary=summary,
        swept=swept,
        columns=_columns(rows),
        figures=plots.draw_all(summary, swept, rows[0]["evaluate.importance_samples"]),
        pictures=_pictures(summary, folder),
        too_many=len(summary) > SHOWN_CELLS,
        groups=_describe_groups(rows),
        facts=_facts(rows),
    )
    workdir.write_text(folder / "report.html", report)


def comparable_groups(rows: Sequence[Row]) -> list[str]:
    """Returns a letter for each row; rows with the same letter may be compared."""
    kinds: dict[str, str] = {}
    return [
        kinds.setdefault(json.dumps([row.get(f) for f in ALIKE]), chr(65 + len(kinds)))
        for row in rows
    ]


def summarize(rows: Sequence[Row], swept: Sequence[str]) -> list[dict[str, Any]]:
    """Averages the members of each cell over seeds.

    Returns for each cell its `fields`, its `members`, how many `diverged`, and under
    `mean` and `error` each number's mean and standard error over the others (of two or
    more); lists are sorted, largest first, before they are averaged.
    """
    cells: dict[str, dict[str, Any]] = {}
    for row in rows:
        fields = {field: row[field] for field in swept}
        key = json.dumps([fields, row["comparable"]])
        cell = cells.setdefault(key, {"fields": fields, "members": []})
        cell["members"].append(row)
    for cell in cells.values():
        done = [row for row in cell["members"] if row["status"] == "done"]
        cell["diverged"] = len(cell["members"]) - len(done)
        cell["comparable"] = cell["members"][0]["comparable"]
        cell["mean"], cell["error"] = {}, {}
        for name in dict.fromkeys(name for row in done for name in row if "/" in name):
            values = [row[name] for row in done if name in row]
            if isinstance(values[0], list):
                values = [sorted(value, reverse=True) for value in values]
                cell["mean"][name] = np.mean(values, axis=0).tolist()
            else:
                cell["mean"][name] = float(np.mean(values))
                if len(values) > 1:
                    cell["error"][name] = standard_error(np.array(values, float))
    return list(cells.values())


def _flat(cell: dict[str, Any]) -> Row:
    flat = {**cell["fields"], "seeds": len(cell["members"])}
    flat |= {"diverged": cell["diverged"], "comparable": cell["comparable"]}
    for name, mean in cell["mean"].items():
        flat[name] = mean
        if name in cell["error"]:
            flat[f"{name} +-"] = cell["error"][name]
    return flat


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)

    def cell(value: Any) -> Any:
        return json.dumps(value) if isinstance(value, (list, dict)) else value

    table = [[cell(row.get(name, "")) for name in names] for row in rows]
    workdir.write_csv(path, [[*names], *table])


def _columns(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The columns of the page's table: key and heading."""
    samples = rows[0]["evaluate.importance_samples"]
    return [
        (f"test/nll_is{samples}_nats", f"NLL (IS-{samples})"),
        ("test/elbo_nats", "ELBO"),
        ("test/rate_nats", "rate"),
        ("test/distortion_nats", "distortion"),
        ("latent/active_units", "active units"),
    ]


def _describe_groups(rows: Sequence[Row]) -> dict[str, str]:
    """Says of each letter what its rows have in common, if there are several."""
    letters = dict.fromkeys(row["comparable"] for row in rows)
    if len(letters) < 2:
        return {}
    differing = [f for f in ALIKE if len({str(row.get(f)) for row in rows}) > 1]
    firsts = {row["comparable"]: row for row in reversed(rows)}
    return {
        letter: ", ".join(f"{field}={firsts[letter].get(field)}" for field in differing)
        for letter in letters
    }


def _facts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What all rows share, to be read before the numbers."""
    names = (*ALIKE, "objective.name", "git_commit", "device")
    facts = [(name, {str(row.get(name)) for row in rows}) for name in names]
    seeds = sorted({row["seed"] for row in rows})
    return [
        ("members", str(len(rows))),
        ("seeds", ", ".join(map(str, seeds))),
        *((name, values.pop()) for name, values in facts if len(values) == 1),
    ]


def _pictures(summary: Sequence[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """The pictures of each cell's first member that is done, small enough to be
    embedded."""
    pictures = []
    for cell in summary[:SHOWN_CELLS]:
        done = [row for row in cell["members"] if row["status"] == "done"]
        if not done:
            continue
        member = done[0]
        place = folder / "members" / member["id"] / "images"
        sources = [_embed(place / f"{name}.png") for name in PICTURES]
        if all(sources):
            pictures.append({"fields": cell["fields"], "sources": sources})
    return pictures


def _embed(path: Path) -> str | None:
    """Returns the upper half of a picture as a data URL."""
    if not path.exists():
        return None
    picture = Image.open(path)
    picture = picture.crop((0, 0, picture.width, picture.height // 2))
    picture.thumbnail((520, 520))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return page.data_url(buffer.getvalue(), "png")

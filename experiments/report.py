"""What a sweep leaves: `results.csv`, `summary.csv` and `report.html`."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from experiments import page, plots, tables, workdir
from vae.evaluation.base import standard_error

Row = dict[str, Any]  # of results.csv, lists as they are

# Rows that differ in one of these may not be compared by their likelihoods. Data may
# move: their hash says which they are, not their name.
ALIKE = (
    "dataset.binarize",
    "data_sha256",
    "model.likelihood.name",
    "evaluate.bounds.importance_samples",
    "precision",
)
SORTED = (  # lists over dimensions, in whose order members differ
    "latent/mean_variance",
    "latent/kl_per_dim",
    "latent/decoder_sensitivity",
)
SHOWN_CELLS = 60  # pictures of more would make the page too large to open
PICTURES = {
    "samples": "decoded means p(x | z) of codes drawn from the prior",
    "reconstructions": "test images, each above its reconstruction",
}
PICTURES_OF_VECTORS = {
    "columns": "columns of the test data, of samples and of reconstructions"
}
PICTURE_WIDTH = 520  # pixels


def write(
    rows: Sequence[Row],
    swept: Sequence[str],
    folder: Path,
    *,
    launched: int | None = None,
    left_out: Sequence[str] = (),
) -> None:
    """Writes the three files.

    Args:
      rows: one for each member.
      swept: the fields that differ between cells; seeds of one cell are averaged.
      folder: of the sweep.
      launched: how many members this launch asked for; None for all rows.
      left_out: which members are not among the rows, as in "2 not done".
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
        columns=_columns(rows, summary),
        has_errors=any(cell["error"] for cell in summary),
        launched=len(rows) if launched is None else launched,
        left_out=left_out,
        not_finite=_not_finite(rows),
        figures=plots.draw_all(
            summary, swept, rows[0]["evaluate.bounds.importance_samples"]
        ),
        pictures=_pictures(summary, folder),
        labels=PICTURES | PICTURES_OF_VECTORS,
        too_many=len(summary) > SHOWN_CELLS,
        groups=_describe_groups(rows),
        facts=_facts(rows),
    )
    workdir.write_text(folder / "report.html", report)


def _not_finite(rows: Sequence[Row]) -> list[str]:
    """Says of each metric that is nan or infinite in how many members it is."""
    found = [name for row in rows for name in page.not_finite(row)]
    return [
        f"{name} ({found.count(name)} of {len(rows)} members)"
        for name in dict.fromkeys(found)
    ]


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
    more). Lists over dimensions, which seeds order differently, are sorted, largest
    first, before they are averaged.
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
                if name in SORTED:
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


class Column(NamedTuple):
    """A column of the page's table."""

    key: str  # of the results
    heading: str
    digits: int  # after the point


def _columns(rows: Sequence[Row], summary: Sequence[dict[str, Any]]) -> list[Column]:
    samples = rows[0]["evaluate.bounds.importance_samples"]
    headings = {
        f"test/nll_is{samples}_nats": f"NLL (IS-{samples})",
        "test/elbo_nats": "ELBO",
        "test/rate_nats": "rate",
        "test/distortion_nats": "distortion",
        "latent/active_units": "active units",
    }
    columns = []
    for key, heading in headings.items():
        means, errors = (
            [cell[part][key] for cell in summary if key in cell[part]]
            for part in ("mean", "error")
        )
        columns.append(Column(key, heading, tables.digits_of(means, errors)))
    return columns


def _describe_groups(rows: Sequence[Row]) -> dict[str, str]:
    """Says of each letter what its rows have in common, if there are several."""
    letters = dict.fromkeys(row["comparable"] for row in rows)
    if len(letters) < 2:
        return {}
    differing = [f for f in ALIKE if len({str(row.get(f)) for row in rows}) > 1]
    if "data_sha256" in differing:
        differing.insert(0, "dataset.name")  # says more to people than the hash
    firsts = {row["comparable"]: row for row in reversed(rows)}
    return {
        letter: ", ".join(f"{field}={firsts[letter].get(field)}" for field in differing)
        for letter in letters
    }


def _facts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What all rows share, to be read before the numbers."""
    names = ("dataset.name", *ALIKE, "objective.name", "git_commit", "device")
    facts = [(name, {str(row.get(name)) for row in rows}) for name in names]
    seeds = sorted({row["seed"] for row in rows})
    return [
        ("members", str(len(rows))),
        ("seeds", ", ".join(map(str, seeds))),
        *((name, values.pop()) for name, values in facts if len(values) == 1),
    ]


def _pictures(summary: Sequence[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """The pictures of each cell's first member that is done, small enough to be
    embedded: `sources` by name."""
    pictures = []
    for cell in summary[:SHOWN_CELLS]:
        done = [row for row in cell["members"] if row["status"] == "done"]
        if not done:
            continue
        place = folder / "members" / done[0]["id"] / "images"
        paths = {name: place / f"{name}.png" for name in PICTURES}
        if (place / "columns.png").exists():
            paths = {"columns": place / "columns.png"}
        if all(path.exists() for path in paths.values()):
            sources = {name: _embed(path) for name, path in paths.items()}
            member = {key: done[0][key] for key in ("id", "seed")}
            pictures.append({"fields": cell["fields"], "sources": sources} | member)
    return pictures


def _embed(path: Path) -> str:
    """Returns a picture, made small, as a data URL."""
    with Image.open(path) as picture:
        picture.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
    return page.data_url(buffer.getvalue(), "png")

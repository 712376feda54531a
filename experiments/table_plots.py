"""A paper's values beside ours, as a plot of what `table.json` holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.tables import Row, Table, published_in

OURS, THEIRS = "#31688e", "#d9822b"
ROW_INCHES = 0.26


def draw(table: Table, path: Path) -> None:
    """Draws ours, with standard errors, and what is published: of each column that has
    published values, or else of the first; or a plane, if the table names one."""
    rows = [row for row in table["rows"] if row.get("values")]
    units = table.get("units", {})
    if not rows:
        figure = Figure(figsize=(6, 1))
        figure.text(0.5, 0.5, "no row is done", ha="center", va="center")
    elif plane := table.get("plane"):
        figure = _plane(rows, plane, units)
    else:
        compared = [
            title
            for title in table["columns"]
            if any(title in published_in(row) for row in rows)
        ] or list(table["columns"])[:1]
        figure = _dots(rows, compared, units)
    figure.savefig(path, dpi=160)


def _dots(
    rows: Sequence[Row], titles: Sequence[str], units: Mapping[str, str]
) -> Figure:
    """Draws a panel for each group, downwards, and column."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    heights = [0.8 + ROW_INCHES * len(of_group) for of_group in groups.values()]
    figure = Figure(
        figsize=(2.5 + 3.4 * len(titles), sum(heights)), layout="constrained"
    )
    panels = figure.subplots(
        len(groups), len(titles), sharey="row", squeeze=False, height_ratios=heights
    )
    for of_group, in_row in zip(groups.values(), panels, strict=True):
        for axes, title in zip(in_row, titles, strict=True):
            _draw_group(axes, of_group, title)
            axes.set_xlabel(_with_unit(title, units))
        names = [row["name"] for row in of_group]
        in_row[0].set_yticks(range(len(of_group)), names, parse_math=False)
        in_row[0].set_ylim(len(of_group) - 0.4, -0.6)  # downwards, marks whole
    if any(title in published_in(row) for row in rows for title in titles):
        _add_legend(figure, panels)
    return figure


def _draw_group(axes: Any, rows: Sequence[Row], title: str) -> None:
    for place, row in enumerate(rows):
        if value := row["values"].get(title):
            axes.errorbar(
                value["mean"],
                place,
                xerr=value.get("error", 0),
                fmt="o",
                color=OURS,
                label="ours",
            )
        if title in published_in(row):
            at = published_in(row)[title], place
            axes.plot(*at, "D", mfc="none", color=THEIRS, label="published")
    axes.grid(axis="x", color="#e7e9ed")
    axes.spines[["top", "right"]].set_visible(False)


def _plane(
    rows: Sequence[Row], plane: Sequence[str], units: Mapping[str, str]
) -> Figure:
    x, y = plane
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        if x in row["values"] and y in row["values"]:
            at = row["values"][x]["mean"], row["values"][y]["mean"]
            axes.plot(*at, "o", color=OURS)
            axes.annotate(
                row["name"],
                at,
                (6, 4),
                textcoords="offset points",
                fontsize=8,
                parse_math=False,
            )
    axes.set(xlabel=_with_unit(x, units), ylabel=_with_unit(y, units))
    axes.grid(color="#e7e9ed")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _with_unit(title: str, units: Mapping[str, str]) -> str:
    return f"{title} ({units[title]})" if title in units else title


def _add_legend(figure: Figure, panels: np.ndarray) -> None:
    """Names each kind of mark once, above the panels."""
    marks = {}
    for axes in panels.flat:
        handles, labels = axes.get_legend_handles_labels()
        marks |= dict(zip(labels, handles, strict=True))
    place = "outside upper right"
    figure.legend(
        marks.values(), marks.keys(), loc=place, ncols=2, frameon=False, fontsize=8
    )

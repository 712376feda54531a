"""Vectors beside what a model makes of them, column by column."""

import csv
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import wasserstein_distance

from experiments import workdir
from experiments.latents.section import Section, Table

SHOWN, ACROSS = 12, 4  # histograms, and those in a row
LETTERS = 20  # of a name above a histogram
LISTED = 100  # columns in the table of the page
TAIL = 0.002  # of the data, at each end; it falls into the outer bins


class Columns(NamedTuple):
    """What is known of each column, by `compare`; arrays [D]."""

    data_mean: np.ndarray
    data_std: np.ndarray
    samples_mean: np.ndarray
    samples_std: np.ndarray
    misfit: np.ndarray
    reconstruction_rmse: np.ndarray
    explained: np.ndarray


def compare(data: np.ndarray, samples: np.ndarray, means: np.ndarray) -> Columns:
    """Compares each column of the data [N, D] with that of samples [M, D] of p(x), and
    with its reconstruction, means [N, D] of p(x | z).

    `misfit` is the Wasserstein-1 distance of data and samples in standard deviations of
    the data; for a constant column the unit is 1. Missing values (nan) of the data do
    not count; a column without others has nan. `explained` is the share of the variance
    that the reconstruction explains, nan for a constant column.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without a value
        mean, std = np.nanmean(data, 0), np.nanstd(data, 0)
        rmse = np.sqrt(np.nanmean((data - means) ** 2, 0))
    unit = np.where(std > 0, std, 1)
    known = [column[~np.isnan(column)] for column in data.T]
    distances = [
        wasserstein_distance(a, b) if len(a) else np.nan
        for a, b in zip(known, samples.T, strict=True)
    ]
    return Columns(
        data_mean=mean,
        data_std=std,
        samples_mean=samples.mean(0),
        samples_std=samples.std(0),
        misfit=np.array(distances) / unit,
        reconstruction_rmse=rmse,
        explained=np.where(std > 0, 1 - (rmse / unit) ** 2, np.nan),
    )


def show_columns(folder: Path) -> Section:
    """Shows what `save` has written to a run's folder of pictures."""
    try:
        with (folder / "columns.csv").open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
    except OSError:
        return Section(left_out="the run has no columns.csv; evaluate it again.")
    shown = [(name, *(f"{float(v):.3g}" for v in row)) for name, *row in rows[:LISTED]]
    titles = tuple(name.replace("_", " ") for name in header)
    return Section(
        pictures={"columns": folder / "columns.png"}, tables=[Table(titles, shown)]
    )


def save(
    data: np.ndarray,
    samples: np.ndarray,
    means: np.ndarray,
    folder: Path,
    names: Sequence[str],
) -> None:
    """Writes `columns.csv`, a row per column of the data, that of the largest misfit
    first; and `columns.png`, histograms of the first of these. `names` are those of the
    columns."""
    found = compare(data, samples, means)
    order = np.argsort(-found.misfit, kind="stable")
    rows = [
        [names[column], *(f"{values[column]:.6g}" for values in found)]
        for column in order
    ]
    workdir.write_csv(folder / "columns.csv", [["column", *Columns._fields], *rows])
    sets = {"test data": data, "samples": samples, "reconstructions": means}
    _draw(order, found.misfit, sets, names).savefig(folder / "columns.png", dpi=150)


def _draw(
    order: np.ndarray,
    misfit: np.ndarray,
    sets: Mapping[str, np.ndarray],
    names: Sequence[str],
) -> Figure:
    """Draws histograms of columns of each set [N, D], the first ones of `order`, over
    the range of the first set."""
    data = next(iter(sets.values()))
    shown = [column for column in order[:SHOWN] if not np.isnan(misfit[column])]
    bins = min(40, 5 + math.isqrt(len(data)))
    down = -(-len(shown) // ACROSS)
    figure = Figure(figsize=(10, 2.2 * down + 0.4), layout="constrained")
    axes = figure.subplots(down, ACROSS, squeeze=False).ravel()
    for axis, column in zip(axes, shown, strict=False):
        low, high = np.nanquantile(data[:, column], (TAIL, 1 - TAIL))
        if low == high:
            low, high = low - 0.5, high + 0.5
        how: dict[str, Any] = {"bins": bins, "range": (low, high)}
        for name, values in sets.items():
            style = {"color": "0.8"} if values is data else {"histtype": "step"}
            known = values[~np.isnan(values[:, column]), column]
            shares = np.full(len(known), 1 / len(known))
            inside = np.clip(known, low, high)
            axis.hist(inside, weights=shares, label=name, **how, **style)
        axis.set(yticks=[])
        name = names[column]
        name = name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}\u2026"
        title = f"column {name}, misfit {misfit[column]:.2g}"
        axis.set_title(title, size=9, parse_math=False)
        axis.spines[["top", "right", "left"]].set_visible(False)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    place = {"loc": "outside lower center", "ncols": len(labels), "frameon": False}
    figure.legend(handles, labels, **place)
    return figure

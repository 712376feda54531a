"""The figures of a sweep, as SVG."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Summary = Sequence[dict[str, Any]]

STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98",
    "axes.labelcolor": "#3b4048",
    "axes.grid": True,
    "grid.color": "#e7e9ed",
    "xtick.color": "#5c626c",
    "ytick.color": "#5c626c",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
NLL = "test/nll_is{samples}_nats"  # with the sweep's number of samples
SIZE = (5.0, 3.6)  # inches; the page scales them
LEGEND_LETTERS, LEGEND_INCHES = 60, 0.2  # in a row of names, and its height
METRICS = {
    NLL: "negative log-likelihood (nats)",
    "test/elbo_nats": "ELBO (nats)",
    "test/rate_nats": "rate (nats)",
    "test/distortion_nats": "distortion (nats)",
    "latent/active_units": "active units",
}


def save_histogram(
    path: Path, normal: np.ndarray, anomalous: np.ndarray, *, label: str
) -> None:
    """Writes a picture of the scores of normal images and of anomalies.

    Members of a sweep may do so at the same time, so it is done without pyplot.
    """
    everything = np.concatenate([normal, anomalous])
    finite = everything[np.isfinite(everything)]
    low, high = np.quantile(finite, (0.001, 0.999)) if len(finite) else (0.0, 1.0)
    if beyond := len(everything) - len(finite):
        label += f"; {beyond} scores are not finite, and not shown"
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    for values, name in ((normal, "test data"), (anomalous, "anomalies")):
        inside = values[(values >= low) & (values <= high)]
        if len(inside):
            how = {"bins": 60, "range": (low, high), "density": True, "alpha": 0.6}
            axes.hist(inside, label=name, **how)
    axes.set(xlabel=label, ylabel="density")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def draw_all(
    summary: Summary, swept: Sequence[str], samples: int
) -> list[tuple[str, str]]:
    """Returns (caption, SVG) of each figure that the sweep has the numbers for.

    Args:
      summary: from `report.summarize`.
      swept: the fields that tell cells apart.
      samples: K of the importance-weighted bound.
    """
    cells = [cell for cell in summary if cell["mean"]]
    if not cells:
        return []
    x, series = _axes(cells, swept)
    with plt.rc_context(STYLE):
        figures = [_rate_distortion(cells, x, series)]
        if x is not None:
            for name, label in METRICS.items():
                key = name.format(samples=samples)
                figures.append(_metric(cells, x, series, key, label))
            figures += _heat_maps(cells, x, series)
    return figures


def _axes(cells: Summary, swept: Sequence[str]) -> tuple[str | None, list[str]]:
    """Returns the field along the horizontal axis and those that tell lines apart."""
    numeric = [
        field
        for field in swept
        if all(isinstance(cell["fields"][field], (int, float)) for cell in cells)
    ]
    preferred = [f for f in ("objective.beta", *numeric) if f in numeric]
    not_size = [f for f in preferred if f != "model.latent_dim"] or preferred
    x = not_size[0] if not_size else None
    return x, [field for field in swept if field != x]


def _lines(
    cells: Summary, x: str | None, series: Sequence[str]
) -> list[tuple[str, Any, list[dict[str, Any]]]]:
    """Groups cells into (label, colour, cells along x)."""
    lines: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        parts = [f"{f.split('.')[-1]} {cell['fields'][f]}" for f in series]
        lines.setdefault(", ".join(parts), []).append(cell)
    colours = plt.get_cmap("viridis")(np.linspace(0.05, 0.85, len(lines)))
    if x is not None:
        for line in lines.values():
            line.sort(key=lambda cell: cell["fields"][x])
    return [
        (label, colour, line)
        for (label, line), colour in zip(lines.items(), colours, strict=True)
    ]


def _get(line: Summary, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard errors along a line."""
    means = [cell["mean"].get(name, np.nan) for cell in line]
    errors = [cell["error"].get(name, 0.0) for cell in line]
    return np.array(means), np.array(errors)


def _rate_distortion(
    cells: Summary, x: str | None, series: Sequence[str]
) -> tuple[str, str]:
    figure, axes = plt.subplots(figsize=SIZE)
    for label, colour, line in _lines(cells, x, series):
        rates, rate_errors = _get(line, "test/rate_nats")
        distortions, errors = _get(line, "test/distortion_nats")
        axes.errorbar(
            rates,
            distortions,
            xerr=rate_errors,
            yerr=errors,
            color=colour,
            marker="o",
            markersize=4,
            linewidth=1,
            label=label or None,
        )
        if x is not None:
            for cell, rate, distortion in zip(line, rates, distortions, strict=True):
                axes.annotate(
                    f"{cell['fields'][x]:g}",
                    (rate, distortion),
                    textcoords="offset points",
                    xytext=(4, 4),
                    fontsize=7,
                    color=colour,
                )
    _draw_iso_elbo(axes)
    axes.set(xlabel="rate (nats)", ylabel="distortion (nats)")
    _add_legend(figure, axes)
    named = f"; points are labelled with {x}" if x else ""
    return (
        "Rate-distortion plane of the test images. Along a dashed line the ELBO, "
        f"minus the sum of both, is the same{named}.",
        _svg(figure),
    )


def _add_legend(figure: Figure, axes: Any) -> None:
    """Names the lines above the axes, where no line is under the names."""
    _, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    columns = max(1, min(4, LEGEND_LETTERS // max(map(len, labels))))
    rows = -(-len(labels) // columns)
    figure.set_figheight(SIZE[1] + LEGEND_INCHES * rows)
    legend = figure.legend(loc="outside upper center", ncols=columns, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may hold dollar signs


def _draw_iso_elbo(axes: Any) -> None:
    """Dashed lines rate + distortion = constant, within the limits of the axes."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    sums = MaxNLocator(6).tick_values(left + bottom, right + top)
    for total in sums:
        ends = np.array([left, right])
        axes.plot(ends, total - ends, "--", color="#b9bec7", linewidth=0.8, zorder=0)
        at = np.clip(total - top, left, right)  # where it enters from above or left
        if bottom < total - at <= top and at < right:
            axes.text(
                at,
                total - at,
                f"{-total:g}",
                fontsize=7,
                color="#8a8f98",
                va="center",
                bbox={"color": "white", "pad": 0.5},
                zorder=0.5,
            )
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _metric(
    cells: Summary, x: str, series: Sequence[str], name: str, label: str
) -> tuple[str, str]:
    figure, axes = plt.subplots(figsize=SIZE)
    for of, colour, line in _lines(cells, x, series):
        means, errors = _get(line, name)
        axes.errorbar(
            [cell["fields"][x] for cell in line],
            means,
            yerr=errors,
            color=colour,
            marker="o",
            markersize=4,
            linewidth=1.2,
            capsize=2,
            label=of or None,
        )
    _scale(axes, [cell["fields"][x] for cell in cells])
    axes.set(xlabel=x, ylabel=label)
    _add_legend(figure, axes)
    heading = label.split(" (")[0]
    heading = heading[0].upper() + heading[1:]
    has_errors = any(name in cell["error"] for cell in cells)
    bars = "; bars are standard errors over seeds" if has_errors else ""
    return f"{heading} on the test images{bars}.", _svg(figure)


def _scale(axes: Any, values: Sequence[float]) -> None:
    """Logarithmic where values span a factor of eight or more, ticks at the values."""
    ticks = sorted(set(values))
    if ticks[0] > 0 and ticks[-1] / ticks[0] >= 8:
        axes.set_xscale("log")
    if len(ticks) <= 8:
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()


def _heat_maps(cells: Summary, x: str, series: Sequence[str]) -> list[tuple[str, str]]:
    """KL per dimension, largest first, against x: where does each dimension die?"""
    name = "latent/kl_per_dim"
    lines = [
        (label, [cell for cell in line if name in cell["mean"]])
        for label, _, line in _lines(cells, x, series)
    ]
    lines = [(label, line) for label, line in lines if line]
    if not lines:
        return []
    values = np.concatenate([cell["mean"][name] for _, line in lines for cell in line])
    top = max(values[np.isfinite(values)], default=1.0)
    figures = []
    for label, line in lines:
        height = max(len(cell["mean"][name]) for cell in line)
        grid = np.full((height, len(line)), np.nan)
        for column, cell in enumerate(line):
            grid[: len(cell["mean"][name]), column] = cell["mean"][name]
        figure, axes = plt.subplots(figsize=SIZE)
        image = axes.imshow(
            grid, aspect="auto", cmap="magma", vmin=0, vmax=top, interpolation="nearest"
        )
        axes.grid(visible=False)
        ticks = range(len(line))
        axes.set_xticks(ticks, [f"{cell['fields'][x]:g}" for cell in line])
        rows = np.unique(np.linspace(0, height - 1, min(height, 6)).astype(int))
        axes.set_yticks(rows, rows + 1)
        axes.set(xlabel=x, ylabel="dimension, by KL")
        figure.colorbar(image, label="KL (nats)")
        of = f", {label}" if label else ""
        figures.append(
            (f"KL of each latent dimension, the largest first{of}.", _svg(figure))
        )
    return figures


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]

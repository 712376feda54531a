"""What a part of the report holds, and how it is written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.figures import GAP, Display, make_grid

WIDTH = 5.0  # inches of a matrix of images: its labels are read on a phone, too
DPI, MATRIX_DPI = 160, 220


class Picture(NamedTuple):
    """A file in the run's `latents/`, and what it shows."""

    path: Path
    caption: str


class Table(NamedTuple):
    """Rows of text and numbers, which are shown with two decimals."""

    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    caption: str = ""


class Section(NamedTuple):
    """A part of the page, without its title."""

    text: str  # what is to be seen, and how it was made
    pictures: list[Picture] = []
    tables: list[Table] = []
    results: dict[str, Any] = {}  # flat, for `results.json`


def left_out(reason: str) -> Section:
    """Returns the section of a tool that does not apply to this model or these data."""
    return Section(f"Left out: {reason}")


def grid(
    folder: Path,
    name: str,
    images: np.ndarray,
    caption: str,
    *,
    display: Display,
    columns: int,
) -> Picture:
    """Writes a grid of images [N, H, W, C] in reading order."""
    path = folder / f"{name}.png"
    make_grid(images, display, columns).save(path)
    return Picture(path, caption)


def matrix(
    folder: Path,
    name: str,
    images: np.ndarray,
    caption: str,
    *,
    display: Display,
    columns: Sequence[str],
    across: str = "",
    down: str = "",
    title: str = "",
    heads: int = 0,
) -> Picture:
    """Writes images [R, C, H, W, channels] with the names of their columns above them;
    `across` says what changes from column to column, `down` from row to row. A line
    follows the first column, and another the first `heads` rows."""
    num_rows, num_columns = images.shape[:2]
    flat = images.reshape(-1, *images.shape[2:])
    _, height, width, _ = display.tiles(flat[:1]).shape
    ratio = num_rows * (height + GAP) / (num_columns * (width + GAP))
    figure = Figure(figsize=(WIDTH, WIDTH * ratio))
    axes = figure.add_axes((0, 0, 1, 1))
    tiles = make_grid(flat, display, num_columns)
    x, y = GAP / 2 / (width + GAP), GAP / 2 / (height + GAP)
    # From the middle of a gap to the next is 1.
    ends = (-x, num_columns + x, num_rows + y, -y)
    axes.imshow(np.asarray(tiles), "gray", vmin=0, vmax=255, extent=ends, aspect="auto")
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks([])
    axes.xaxis.set_label_position("top")
    axes.set(xlabel=across, ylabel=down)
    axes.spines[:].set_visible(False)
    axes.axvline(1, color="white", linewidth=4)
    if heads:
        axes.axhline(heads, color="white", linewidth=4)
    if title:
        axes.set_title(title, fontsize="large", pad=8)
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=MATRIX_DPI, bbox_inches="tight", pad_inches=0.05)
    return Picture(path, caption)


def plot(folder: Path, name: str, figure: Figure, caption: str) -> Picture:
    """Writes a figure of matplotlib."""
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=DPI)
    return Picture(path, caption)

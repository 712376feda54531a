"""What a section of the page holds, and how its matrices and tables are made."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from experiments import page
from experiments.figures import GAP, Display, make_grid

WIDTH = 5.0  # inches of a matrix of images: its labels are read on a phone, too
DPI, MATRIX_DPI = 160, 220


class Table(NamedTuple):
    """Rows of text and numbers. The page shows two decimals of a float."""

    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Section(NamedTuple):
    """A section of the page. Its title and its sentences stand in the template."""

    facts: dict[str, Any] = {}  # names and numbers for the sentences
    pictures: dict[str, Path] = {}  # by what they show
    tables: list[Table] = []
    results: dict[str, Any] = {}  # flat, for `results.json`
    left_out: str = ""  # the reason, if there is nothing to show


def tabulate(first: str, rows: Mapping[str, Mapping[str, float]]) -> Table:
    """Makes a table of rows with the same columns; `first` heads the rows' names."""
    header = (first, *next(iter(rows.values())))
    return Table(header, [(name, *values.values()) for name, values in rows.items()])


def flatten(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested results by flat names, as in `prefix/name/of_value`."""
    flat = {}
    for name, value in values.items():
        key = f"{prefix}/{name}".replace(" ", "_")
        flat |= flatten(key, value) if isinstance(value, Mapping) else {key: value}
    return flat


def save_matrix(
    path: Path,
    images: np.ndarray,
    display: Display,
    *,
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    across: str = "",
    down: str = "",
    title: str = "",
    heads: int = 0,
) -> None:
    """Writes images [R, C, H, W, channels] with the names of their columns above them
    and of their rows beside them; `across` says what changes from column to column,
    `down` from row to row. A line follows the first column, and another the first
    `heads` rows."""
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
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, parse_math=False)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows, parse_math=False)
    axes.xaxis.set_label_position("top")
    axes.set(xlabel=across, ylabel=down)
    axes.spines[:].set_visible(False)
    axes.axvline(1, color="white", linewidth=4)
    if heads:
        axes.axhline(heads, color="white", linewidth=4)
    if title:
        axes.set_title(title, fontsize="large", pad=8, parse_math=False)
    figure.savefig(path, dpi=MATRIX_DPI, bbox_inches="tight", pad_inches=0.05)


def make_sheet(tiles: np.ndarray) -> tuple[str, dict[str, int]]:
    """Sets images [N, H, W, 1 or 3] in one picture, in reading order; returns its data
    URL, and the number of its columns and W and H, by which a script cuts it."""
    count, height, width, channels = tiles.shape
    columns = math.isqrt(count - 1) + 1
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = tiles
    sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    sheet = sheet.reshape(rows * height, columns * width, channels)
    content = io.BytesIO()
    Image.fromarray(sheet.squeeze(-1) if channels == 1 else sheet).save(content, "png")
    url = page.data_url(content.getvalue(), "png")
    return url, {"columns": columns, "width": width, "height": height}

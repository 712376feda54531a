"""What a part of the report holds, and how it is written."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.figures import make_grid


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
    """A part of the page."""

    title: str
    text: str  # what is to be seen, and how it was made
    pictures: list[Picture] = []
    tables: list[Table] = []
    results: dict[str, Any] = {}  # flat, for `results.json`


def left_out(title: str, reason: str) -> Section:
    """Returns the section of a tool that this model, or these data, have no use for."""
    return Section(title, f"Left out: {reason}")


def grid(
    folder: Path, name: str, images: np.ndarray, columns: int, caption: str
) -> Picture:
    """Writes a grid of images [N, H, W, C] in reading order."""
    path = folder / f"{name}.png"
    make_grid(images, columns).save(path)
    return Picture(path, caption)


def plot(folder: Path, name: str, figure: Figure, caption: str) -> Picture:
    """Writes a figure of matplotlib."""
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=160)
    return Picture(path, caption)

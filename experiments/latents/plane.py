"""The aggregate posterior, seen in a plane."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from experiments.figures import save_grid
from experiments.latents.attributes import Attributes
from experiments.latents.section import DPI, Section, make_sheet
from experiments.latents.subject import Subject
from vae.data.splits import evenly_spaced
from vae.latents.embed import decoded_manifold, principal_components, umap

POINTS = 3_000  # umap finds neighbours of fewer than 4,096 exactly, without a search
UMAP_NEIGHBOURS = 15  # by default; there must be more codes
THUMBNAILS = 60
TRIED = 2_000  # places for them
SIDE, QUANTILES = 20, (0.02, 0.98)  # of the decoded manifold
INCHES = 8.0
HUES = 10  # colours that can be told apart
THUMBNAIL_INCHES = 0.42
HOVERED, HOVERED_VALUES = 500, 1_000_000  # images that the page shows, and their pixels


def show_plane(subject: Subject, attributes: Attributes, folder: Path) -> Section:
    """Draws the codes of test examples by their principal components and by UMAP; a
    latent space of two dimensions also as a plane of images."""
    count = len(subject.test.codes)
    places = evenly_spaced(count, min(POINTS, count))
    codes = subject.test.codes[places]
    if codes.shape[1] < 2:
        return Section(left_out="the latent space has one dimension.")
    if count < 2 or not np.ptp(codes, axis=0).any():
        return Section(left_out="all test examples have one code.")
    name, values = next(iter(attributes.test.items()), ("", None))
    if values is not None:
        values = values[places]
    embeddings = {"pca": principal_components}
    if count > UMAP_NEIGHBOURS:
        embeddings["umap"] = functools.partial(umap, seed=subject.seed)
    if codes.shape[1] == 2:
        embeddings = {"codes": lambda codes: codes}
    pictures, points = {}, {}
    hovered = evenly_spaced(
        *(len(codes), min(len(codes), HOVERED, most_images(subject, HOVERED_VALUES)))
    )
    for by, embed in embeddings.items():
        pictures[by] = folder / f"embedding_{by}.png"
        plane = embed(codes)
        figure = _draw(subject, places, plane, name, values)
        figure.savefig(pictures[by], dpi=DPI)
        points[by] = _in_picture(figure, plane[hovered]).round(4).tolist()
    is_flat = codes.shape[1] == 2 and not subject.is_conditional
    if is_flat and subject.has_images and subject.is_standard_normal:
        images = np.asarray(decoded_manifold(subject.decode, SIDE, QUANTILES))
        pictures["manifold"] = folder / "manifold.png"
        flat = images.reshape(-1, *images.shape[2:])
        save_grid(pictures["manifold"], flat, subject.display, SIDE)
    facts = {"count": len(codes), "attribute": name, "quantiles": QUANTILES}
    seen = places[hovered]
    if subject.has_images:
        tiles = subject.display.tiles(subject.test.pixels[seen])
        facts["sheet"], sheet = make_sheet(tiles)
        names = name_images(subject, seen, name, attributes.test.get(name))
        facts["hover"] = {"points": points, "names": names, "sheet": sheet}
    return Section(facts, pictures)


def most_images(subject: Subject, values: int) -> int:
    """Returns how many test images have at most so many values, at least one."""
    return max(1, values // subject.test.pixels[0].size)


def name_images(
    subject: Subject, places: np.ndarray, attribute: str, values: np.ndarray | None
) -> list[str]:
    """Names the test images at places [N], with the values [all] of an attribute."""
    if values is None:
        return [f"Test image {i}" for i in places]
    return [
        f"Test image {i}, {subject.name_value(attribute, int(values[i]))}"
        for i in places
    ]


def _in_picture(figure: Figure, points: np.ndarray) -> np.ndarray:
    """Returns where the points [N, 2] of a figure's axes are in its picture [N, 2], as
    shares of its width from the left and of its height from the top."""
    x, y = (figure.axes[0].transData.transform(points) / figure.bbox.size).T
    return np.stack([x, 1 - y], axis=1)


def _draw(
    subject: Subject,
    places: np.ndarray,
    plane: np.ndarray,
    name: str,
    values: np.ndarray | None,
) -> Figure:
    """Draws points [N, 2], of the test images at places [N], and where there is room
    the images of their codes; values [N] of the attribute are colours."""
    figure = Figure(figsize=(INCHES, INCHES), layout="constrained")
    axes = figure.subplots()
    low, high = np.quantile(plane, (0.002, 0.998), axis=0)
    high = np.where(high > low, high, low + 1)  # a dimension may be constant
    left, right = low - 0.06 * (high - low), high + 0.06 * (high - low)
    axes.set(xlim=(left[0], right[0]), ylim=(left[1], right[1]), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    colours = colour(values, len(plane))
    axes.scatter(*plane.T, s=6, c=colours, linewidths=0)
    if values is not None:
        _add_legend(axes, subject, name, values, colours)
    chosen = spread_out(plane, low, high)
    if len(chosen) and subject.has_images:
        at = places[chosen], plane[chosen], colours[chosen]
        _add_thumbnails(axes, subject, *at)
    return figure


def colour(values: np.ndarray | None, count: int) -> np.ndarray:
    """Returns a colour [N, 4] of each of `count` points, by its value in [N]: ten
    values differ in hue, more of them go from dark to light."""
    if values is None:
        return np.tile(to_rgba("#31688e"), (count, 1))
    known, ranks = np.unique(values, return_inverse=True)
    if len(known) <= HUES:
        hues = known % HUES
        if len(np.unique(hues)) < len(known):
            hues = np.arange(len(known))
        return np.array([to_rgba(f"C{hue}") for hue in hues])[ranks]
    return colormaps["viridis"](ranks / (len(known) - 1))


def _add_legend(
    axes: Any, subject: Subject, name: str, values: np.ndarray, colours: np.ndarray
) -> None:
    """Names the colours [N, 4] of the values [N], or of `HUES` of these."""
    known, firsts = np.unique(values, return_index=True)
    shown = evenly_spaced(len(known), min(HUES, len(known)))
    for value, first in zip(known[shown], firsts[shown], strict=True):
        axes.scatter(
            [], [], s=6, color=colours[first], label=subject.name_value(name, value)
        )
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": 5}
    legend = axes.legend(frameon=False, markerscale=3, **place)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _add_thumbnails(
    axes: Any,
    subject: Subject,
    places: np.ndarray,
    points: np.ndarray,
    colours: np.ndarray,
) -> None:
    """Adds the mean images of the codes of test images at places [N], at points
    [N, 2]."""
    labels = None if subject.test.labels is None else subject.test.labels[places]
    images = subject.decode(subject.test.codes[places], labels)
    tiles = subject.display.tiles(images)
    for (x, y), tile, colour in zip(points.tolist(), tiles, colours, strict=True):
        pixels = tile.squeeze(-1) if tile.shape[-1] == 1 else tile
        zoom = 72 * THUMBNAIL_INCHES / max(tile.shape)
        box = OffsetImage(pixels, zoom=zoom, cmap="gray", norm=Normalize(0, 255))
        frame = {"edgecolor": colour, "linewidth": 1.5}
        axes.add_artist(AnnotationBbox(box, (x, y), pad=0.1, bboxprops=frame))


def spread_out(plane: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Returns the places of up to `THUMBNAILS` points [N, 2] between two corners that
    are further apart than their thumbnails are wide."""
    room = 1.3 * THUMBNAIL_INCHES / INCHES
    unit = (plane - low) / (high - low)
    chosen: list[int] = []
    inside = np.flatnonzero(((unit > 0) & (unit < 1)).all(axis=1))
    for place in inside[:TRIED]:
        distances = np.abs(unit[chosen] - unit[place]).max(axis=1)
        if (distances > room).all():
            chosen.append(int(place))
        if len(chosen) == THUMBNAILS:
            break
    return np.array(chosen, int)

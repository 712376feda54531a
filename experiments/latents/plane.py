"""The aggregate posterior, seen in a plane."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from experiments.latents.attributes import Attributes
from experiments.latents.section import Picture, Section, grid, left_out, plot
from experiments.latents.subject import Subject
from vae.data.splits import evenly_spaced
from vae.latents.embed import decoded_manifold, principal_components, umap

POINTS = 3_000  # umap finds neighbours of fewer than 4,096 exactly, without a search
UMAP_NEIGHBOURS = 15  # by default; there must be more codes
THUMBNAILS = 60
TRIED = 2_000  # places for them
SIDE, QUANTILES = 20, (0.02, 0.98)  # of the decoded manifold
INCHES = 8.0
THUMBNAIL_INCHES = 0.42


def show_plane(subject: Subject, attributes: Attributes, folder: Path) -> Section:
    """Draws the codes of test images by their principal components and by UMAP; a
    latent space of two dimensions also as a plane of images."""
    title = "The aggregate posterior in a plane"
    count = len(subject.test.codes)
    places = evenly_spaced(count, min(POINTS, count))
    codes = subject.test.codes[places]
    if codes.shape[1] < 2:
        return left_out(title, "the latent space has one dimension.")
    if count < 2 or not np.ptp(codes, axis=0).any():
        return left_out(title, "all test images have one code.")
    name, values = next(iter(attributes.test.items()), ("", None))
    if values is not None:
        values = values[places]
    embeddings = {"pca": (principal_components, "principal components")}
    if count > UMAP_NEIGHBOURS:
        embeddings["umap"] = functools.partial(umap, seed=subject.seed), "UMAP"
    if codes.shape[1] == 2:
        embeddings = {"codes": (lambda codes: codes, "the two dimensions")}
    pictures = [
        _draw(subject, places, embed(codes), name, values, folder, file, caption)
        for file, (embed, caption) in embeddings.items()
    ]
    prior = subject.experiment.config["model"]["prior"]["name"]
    is_flat = codes.shape[1] == 2 and not subject.is_conditional
    if is_flat and prior == "standard_normal":
        images = decoded_manifold(subject.decode, SIDE, QUANTILES)
        caption = (
            "Images decoded at the prior's quantiles from .02 to .98, dimension 0 to "
            "the right and 1 upwards (Kingma & Welling 2013, fig. 4)."
        )
        flat = np.asarray(images).reshape(-1, *images.shape[2:])
        pictures.append(grid(folder, "manifold", flat, SIDE, caption))
    by = f", coloured by {name}" if values is not None else ""
    text = f"Codes of {len(codes)} test images{by}, with the mean images of some. "
    if "umap" in embeddings:
        text += "UMAP keeps neighbours together; its distances and sizes mean nothing."
    return Section(title, text, pictures)


def _draw(
    subject: Subject,
    places: np.ndarray,
    plane: np.ndarray,
    name: str,
    values: np.ndarray | None,
    folder: Path,
    file: str,
    caption: str,
) -> Picture:
    """Draws points [N, 2], of the test images at places [N], and where there is room
    the images of their codes; values [N] of an attribute are colours."""
    figure = Figure(figsize=(INCHES, INCHES), layout="constrained")
    axes = figure.subplots()
    low, high = np.quantile(plane, (0.002, 0.998), axis=0)
    high = np.where(high > low, high, low + 1)  # a dimension may be constant
    margin = 0.06 * (high - low)
    axes.set(
        xlim=(low[0] - margin[0], high[0] + margin[0]),
        ylim=(low[1] - margin[1], high[1] + margin[1]),
        xticks=[],
        yticks=[],
    )
    axes.spines[:].set_visible(False)
    if values is None:
        axes.scatter(*plane.T, s=6, c="#31688e", linewidths=0)
    else:
        for value in np.unique(values):
            axes.scatter(
                *plane[values == value].T,
                s=6,
                linewidths=0,
                color=f"C{value % 10}",
                label=f"{name} {value}",
            )
        axes.legend(
            frameon=False,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=5,
            markerscale=3,
        )
    chosen = spread_out(plane, low, high)
    if len(chosen):
        colours = [
            "#31688e" if values is None else f"C{values[point] % 10}"
            for point in chosen
        ]
        _add_thumbnails(axes, subject, places[chosen], plane[chosen], colours)
    return plot(folder, f"embedding_{file}", figure, f"By {caption}.")


def _add_thumbnails(
    axes: Any,
    subject: Subject,
    places: np.ndarray,
    points: np.ndarray,
    colours: list[str],
) -> None:
    """Adds the mean images of the codes of test images at places [N], at points
    [N, 2]."""
    labels = None if subject.test.labels is None else subject.test.labels[places]
    images = np.clip(subject.decode(subject.test.codes[places], labels), 0, 1)
    for (x, y), image, colour in zip(points.tolist(), images, colours, strict=True):
        pixels = image.squeeze(-1) if image.shape[-1] == 1 else image
        zoom = 72 * THUMBNAIL_INCHES / max(image.shape)
        box = OffsetImage(pixels, zoom=zoom, cmap="gray", norm=Normalize(0, 1))
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

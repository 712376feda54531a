"""A page on which the decoder itself runs, in the browser: `explorer.html`."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.colors import to_hex

from experiments import page, workdir
from experiments.latents.attributes import Attributes
from experiments.latents.equations import Equations, pack, trace
from experiments.latents.plane import colour, most_images, name_images
from experiments.latents.section import Section, make_sheet
from experiments.latents.subject import Subject
from vae.data.splits import evenly_spaced
from vae.latents.groups import most_used

MOST_BYTES = 10_000_000  # of the page
MOST_IMAGES = 500
MOST_VALUES = 1_000_000  # of the pixels of test images, and of a grid
SLIDERS = 12
QUANTILES = (0.001, 0.999)  # of codes, between which a slider moves
SIDE, LEAST_SIDE, GRID_LABELS = 15, 3, 10  # of a grid
NAMED = 10  # colours
# Shares of the range of pixels by which the page's image may differ from JAX's. The
# page computes in float32: with bfloat16, JAX's image is the less exact one.
TOLERANCE, ROUNDED_TOLERANCE = 0.01, 0.05


def write_explorer(
    subject: Subject,
    attributes: Attributes,
    evaluated: Mapping[str, Any],
    folder: Path,
) -> Section:
    """Writes `explorer.html`, which needs no other file, into the run's folder.

    It holds the decoder's equations and weights. Where the browser does not know a
    primitive of theirs, or the page would be too large, it holds a grid of images over
    the two most used dimensions instead, and says why.
    """
    kl = evaluated.get("latent/kl_per_dim")
    use = subject.test.codes.var(axis=0) if kl is None else kl
    order = most_used(use, subject.experiment.group_dims, SLIDERS)
    test = subject.test.pixels
    count = min(len(test), MOST_IMAGES, most_images(subject, MOST_VALUES))
    places = evenly_spaced(len(test), count)
    url, sheet = make_sheet(subject.display.tiles(test[places]))
    pictures, equations = {"sheet": url}, _trace(subject)
    data: dict[str, Any] = {
        "shape": test.shape[1:],
        "display": [subject.display.low, subject.display.high],
        "labels": subject.experiment.model.num_labels or 0,
        "label_names": subject.label_names,
        "codes": pack(subject.test.codes[places]),
        "sheet": sheet,
        "points": _describe(subject, attributes, places),
        "sliders": _sliders(subject, order, kl),
        "planes": _planes(subject, order),
        "check": _check(subject, places[0]),
        "equations": equations._asdict(),
    }
    reason = _refuse(equations, len(url) + len(json.dumps(data)))
    if reason:
        data |= {"equations": None, "check": None, "sliders": data["sliders"][:2]}
        data["planes"] = _planes(subject, order[:2], principal=False)
        pictures["grid"], data["grid"] = _grid(subject, data["sliders"])
    _save(subject, folder, data=data, pictures=pictures, reason=reason)
    return Section({"reason": reason, "sliders": len(data["sliders"])})


def _save(subject: Subject, folder: Path, **values: Any) -> None:
    pixels = subject.test.pixels
    text = page.render(
        "explorer.html.jinja",
        name=folder.name,
        config=subject.experiment.config,
        display=subject.display.describe(pixels.shape[-1]),
        images=len(pixels),
        dimensions=subject.dimensions,
        code_dim=subject.test.codes.shape[1],
        not_finite=[],
        **values,
    )
    workdir.write_text(folder / "explorer.html", text)


def _trace(subject: Subject) -> Equations:
    """Returns the equations from a code [1, D], and from the label [1] of a conditional
    model, to the mean image [1, H, W, C]."""
    code = jnp.zeros((1, subject.test.codes.shape[1]), jnp.float32)
    labels = (jnp.zeros(1, jnp.int32),) if subject.is_conditional else ()
    return trace(subject.decode_now, code, *labels)


def _refuse(equations: Equations, size: int) -> str:
    """Says why the browser cannot run the decoder; empty if it can."""
    if equations.unknown:
        names = ", ".join(equations.unknown)
        return f"the decoder uses operations that this page does not have: {names}"
    if size > MOST_BYTES:
        most = f"{MOST_BYTES / 1e6:.3g} MB"
        return (
            f"with the decoder the page would take {size / 1e6:.3g} MB (at most {most})"
        )
    return ""


def _check(subject: Subject, place: int) -> dict[str, Any]:
    """Returns JAX's image of one test image's code, by which the page checks itself."""
    labels = _labels(subject, np.array([place]))
    code = subject.test.codes[[place]]
    label = 0 if labels is None else int(labels[0])
    image = subject.decode(code, labels)[0]
    is_rounded = subject.experiment.config["precision"] == "bfloat16"
    return {
        "code": pack(code[0]),
        "label": label,
        "image": pack(image),
        "tolerance": ROUNDED_TOLERANCE if is_rounded else TOLERANCE,
    }


def _labels(subject: Subject, places: np.ndarray) -> np.ndarray | None:
    labels = subject.test.labels
    return None if labels is None else labels[places]


def _describe(
    subject: Subject, attributes: Attributes, places: np.ndarray
) -> dict[str, Any]:
    """Returns the name, the colour and the label of each point."""
    name, values = next(iter(attributes.test.items()), ("", None))
    colours = [to_hex(tuple(c)) for c in colour(values, len(subject.test.codes))]
    labels, legend = _labels(subject, places), []
    if values is not None:
        known, firsts = np.unique(values, return_index=True)
        shown = evenly_spaced(len(known), min(NAMED, len(known)))
        legend = [
            (subject.name_value(name, value), colours[first])
            for value, first in zip(known[shown], firsts[shown], strict=True)
        ]
    return {
        "names": name_images(subject, places, name, values),
        "colours": [colours[i] for i in places],
        "labels": None if labels is None else labels.tolist(),
        "legend": legend,
    }


def _sliders(subject: Subject, order: np.ndarray, kl: Any) -> list[dict[str, Any]]:
    """Returns the dimensions that have a slider, and the ends of each: it covers zero,
    the prior and the codes of test images."""
    prior = subject.draw(subject.spread_labels(MOST_IMAGES))
    codes = np.concatenate([subject.test.codes, prior, np.zeros_like(prior[:1])])
    low, high = np.quantile(codes, QUANTILES, axis=0)
    return [
        {
            "dimension": int(i),
            "name": subject.name_dimension(i),
            "low": float(min(low[i], 0)),
            "high": float(max(high[i], 0)),
            "kl": None if kl is None else float(kl[i]),
        }
        for i in order
    ]


def _planes(
    subject: Subject, order: np.ndarray, *, principal: bool = True
) -> list[dict[str, Any]]:
    """Returns planes through the latent space, each by its origin [D] and two
    orthonormal directions [2, D], so that a point moves a code exactly: the principal
    components, and pairs of dimensions that have sliders."""
    codes, planes = subject.test.codes, []
    size = codes.shape[1]
    if principal and size > 2 and len(codes) > 1:
        codes = codes.astype(np.float64)
        mean = codes.mean(axis=0)
        directions = np.linalg.svd(codes - mean, full_matrices=False)[2][:2]
        planes.append(("principal components", mean, directions))
    paired = order[: len(order) // 2 * 2]
    for pair in paired.reshape(-1, 2):
        across, up = map(subject.name_dimension, pair)
        name = f"dimension {across} across, {up} up"
        planes.append((name, np.zeros(size), np.eye(size)[pair]))
    if size == 1:
        planes.append(("dimension 0 across", np.zeros(1), np.array([[1.0], [0.0]])))
    return [
        {"name": name, "origin": origin.tolist(), "directions": directions.tolist()}
        for name, origin, directions in planes
    ]


def _grid(
    subject: Subject, sliders: list[dict[str, Any]]
) -> tuple[str, dict[str, Any]]:
    """Returns the sheet of images over two dimensions, the others at zero, for each of
    some labels; the second dimension grows downwards."""
    labels = range(min(subject.experiment.model.num_labels or 1, GRID_LABELS))
    most = MOST_VALUES / subject.test.pixels[0].size / len(labels)
    side = min(SIDE, max(LEAST_SIDE, math.isqrt(int(most))))
    ends = [np.linspace(of["low"], of["high"], side) for of in sliders]
    across, down = np.meshgrid(*(ends if len(ends) == 2 else (*ends, [0.0])))
    codes = np.zeros((across.size, subject.test.codes.shape[1]), np.float32)
    for values, of in zip((across, down), sliders, strict=False):
        codes[:, of["dimension"]] = values.ravel()
    images = [
        subject.decode(codes, np.full(len(codes), label, np.int32)) for label in labels
    ]
    tiles = subject.display.tiles(np.concatenate(images))
    url, sheet = make_sheet(tiles)
    return url, {"sides": across.shape[::-1], "labels": len(labels), **sheet}

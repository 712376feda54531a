"""Ways through the latent space: between two images, and along one dimension."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import figures
from experiments.latents.section import Picture, Section, Table, grid, left_out
from experiments.latents.subject import Subject
from vae.latents.interpolate import (
    curve_energy,
    curve_length,
    geodesic,
    linear,
    spherical,
)
from vae.latents.traverse import QUANTILES

PAIRS, POINTS = 4, 11
TRAVERSED = 4  # images


def show_interpolations(subject: Subject, folder: Path) -> Section:
    """Draws three curves between the codes of each pair of test images, and measures
    them in image space."""
    pairs = choose_pairs(subject)
    if not pairs:
        which = " of one label" if subject.is_conditional else ""
        return left_out(f"there are no two test images{which}.")
    curves, lengths, energies = trace_curves(subject, pairs)
    pixels = subject.test.pixels
    tiles = []
    for pair, (first, last) in enumerate(pairs):
        for points in curves.values():
            labels = _labels_of(subject, first, POINTS)
            images = subject.decode(points[pair], labels)
            tiles += [pixels[first, None], images, pixels[last, None]]
    picture = grid(
        folder,
        "interpolations",
        np.concatenate(tiles),
        f"For each of {len(pairs)} pairs of test images (at both ends) a row for each "
        f"curve: {', '.join(curves)}. The second image and the last but one are "
        "reconstructions.",
        display=subject.display,
        columns=POINTS + 2,
    )
    rows = [
        (name, float(lengths[name].mean()), float(energies[name].mean()))
        for name in curves
    ]
    results = {
        f"interpolation/{name}/{measure}": value
        for name, *values in rows
        for measure, value in zip(("length", "energy"), values, strict=True)
    }
    text = (
        "Curves between codes of test images. The geodesic has the least energy, by "
        "descent from the straight line, under the metric that the decoder's mean "
        "images pull back to the latent space (Shao et al. 2018; Arvanitidis et al. "
        "2018): a short way through images, in even steps."
    )
    table = Table(
        ("curve", "length", "energy"),
        rows,
        f"Sums over {POINTS} points of the Euclidean distance from image to image, and "
        f"of its square; means over {len(pairs)} pairs.",
    )
    return Section(text, [picture], [table], results)


def choose_pairs(subject: Subject) -> list[tuple[int, int]]:
    """Returns disjoint pairs of test images, of two labels if there are two; those of
    a conditional model have one, which is that of the whole curve."""
    labels = subject.test.labels
    if labels is not None and len(np.unique(labels)) == 1:
        labels = None
    order = np.random.default_rng(subject.seed).permutation(len(subject.test.codes))
    pairs: list[tuple[int, int]] = []
    used: set[int] = set()
    for first in order.tolist():
        if len(pairs) == PAIRS:
            break
        fitting = (
            place
            for place in order.tolist()
            if place != first
            and place not in used
            and (
                labels is None
                or (labels[place] == labels[first]) == subject.is_conditional
            )
        )
        last = next(fitting, None)
        if first not in used and last is not None:
            pairs.append((first, last))
            used |= {first, last}
    return pairs


def trace_curves(
    subject: Subject, pairs: list[tuple[int, int]]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns of each kind of curve the points [pairs, P, D], and lengths and energies
    [pairs]."""
    codes = subject.test.codes
    starts, ends = (codes[[pair[side] for pair in pairs]] for side in (0, 1))
    labels = np.stack([_labels_of(subject, first, POINTS) for first, _ in pairs])

    @jax.jit
    @jax.vmap
    def trace(start: jax.Array, end: jax.Array, labels: jax.Array) -> Any:
        decode = functools.partial(subject.decode_now, labels=labels)
        curves = {
            "linear": linear(start, end, POINTS),
            "spherical": spherical(start, end, POINTS),
            "geodesic": geodesic(decode, start, end, POINTS).points,
        }
        return (
            curves,
            {name: curve_length(decode, points) for name, points in curves.items()},
            {name: curve_energy(decode, points) for name, points in curves.items()},
        )

    found = trace(starts, ends, jnp.asarray(labels))
    order = ("linear", "spherical", "geodesic")  # jax sorts the names
    curves, lengths, energies = jax.tree.map(np.asarray, found)
    return {name: curves[name] for name in order}, lengths, energies


def _labels_of(subject: Subject, place: int, count: int) -> np.ndarray:
    """Returns the label of a test image [count]; zeros without labels."""
    labels = subject.test.labels
    return np.full(count, 0 if labels is None else labels[place], np.int32)


def show_traversals(
    subject: Subject, evaluated: Mapping[str, Any], folder: Path
) -> Section:
    """Draws what each dimension changes; see `figures.draw_traversals`."""
    kl = evaluated.get("latent/kl_per_dim")
    if not subject.experiment.model.prior.factorises:
        return left_out("the prior is not a product over dimensions.")
    if kl is None:
        return left_out("the rate of this model is not a sum over dimensions.")
    first, test = 0, subject.test
    places = np.arange(len(test.codes))
    if subject.is_conditional and test.labels is not None:
        places = places[test.labels == test.labels[first]]
    places = places[:TRAVERSED]

    def decode(codes: np.ndarray) -> np.ndarray:
        return subject.decode(codes, _labels_of(subject, first, len(codes)))

    shown = test.pixels[places], test.codes[places]
    figures.draw_traversals(decode, *shown, kl, subject.display, folder)
    dimensions = figures.traversed_dimensions(kl)
    low, high = QUANTILES[[0, -1]]
    files = {
        "traversals_prior.png": "From the prior's mean: a row is a dimension, the "
        f"largest KL first ({', '.join(map(str, dimensions))} of {len(kl)}, counted "
        f"from 0); columns are the prior's quantiles, {low:g} to {high:g}.",
        "traversals_posterior.png": "The same, from the posterior mean of one test "
        "image, which is on the left in each row.",
        "traversals.gif": f"Each row is a test image ({len(places)} in all), each "
        "column a dimension; the quantile changes with time.",
    }
    pictures = [Picture(folder / name, caption) for name, caption in files.items()]
    return Section("What one dimension changes, the others held.", pictures)

"""Ways through the latent space: between two images, and along one dimension."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import figures
from experiments.latents.section import Section, flatten, tabulate
from experiments.latents.subject import Subject
from vae.latents.groups import most_used
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
        return Section(left_out=f"there are no two test images{which}.")
    curves = trace_curves(subject, pairs)
    pixels, tiles = subject.test.pixels, []
    for pair, (first, last) in enumerate(pairs):
        for points, _, _ in curves.values():
            images = subject.decode(points[pair], _labels_of(subject, first, POINTS))
            tiles += [pixels[first, None], images, pixels[last, None]]
    path = folder / "interpolations.png"
    figures.save_grid(path, np.concatenate(tiles), subject.display, POINTS + 2)
    rows = {
        name: {"length": float(lengths.mean()), "energy": float(energies.mean())}
        for name, (_, lengths, energies) in curves.items()
    }
    return Section(
        {"curves": list(curves), "pairs": len(pairs), "points": POINTS},
        {"curves": path},
        [tabulate("curve", rows)],
        flatten("interpolation", rows),
    )


def choose_pairs(subject: Subject) -> list[tuple[int, int]]:
    """Returns disjoint pairs of test images. The images of a pair differ in their
    label, if there are two labels; a conditional model decodes a curve with one label,
    and they share it."""
    labels = subject.test.labels
    if labels is not None and len(np.unique(labels)) == 1:
        labels = None

    def fits(a: int, b: int) -> bool:
        return labels is None or (labels[a] == labels[b]) == subject.is_conditional

    random = np.random.default_rng(subject.seed)
    free = random.permutation(len(subject.test.codes)).tolist()
    pairs: list[tuple[int, int]] = []
    while free and len(pairs) < PAIRS:
        first = free.pop(0)
        last = next((place for place in free if fits(first, place)), None)
        if last is not None:
            free.remove(last)
            pairs.append((first, last))
    return pairs


def trace_curves(
    subject: Subject, pairs: list[tuple[int, int]]
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Returns of each kind of curve the points [pairs, P, D], the lengths [pairs] and
    the energies [pairs]."""
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
        return {
            name: (points, curve_length(decode, points), curve_energy(decode, points))
            for name, points in curves.items()
        }

    found = jax.tree.map(np.asarray, trace(starts, ends, jnp.asarray(labels)))
    return {name: found[name] for name in ("linear", "spherical", "geodesic")}


def _labels_of(subject: Subject, place: int, count: int) -> np.ndarray:
    """Returns the label of a test image [count]; zeros without labels."""
    labels = subject.test.labels
    return np.full(count, 0 if labels is None else labels[place], np.int32)


def show_traversals(
    subject: Subject, evaluated: Mapping[str, Any], folder: Path
) -> Section:
    """Draws what each dimension changes; see `figures.draw_traversals`."""
    kl = evaluated.get("latent/kl_per_dim")
    if not subject.is_standard_normal:
        return Section(left_out="the prior is not the standard normal.")
    if kl is None:
        return Section(left_out="the rate of this model is not a sum over dimensions.")
    first, test = 0, subject.test
    places = np.arange(len(test.codes))
    if subject.is_conditional and test.labels is not None:
        places = places[test.labels == test.labels[first]]
    places = places[:TRAVERSED]

    def decode(codes: np.ndarray) -> np.ndarray:
        return subject.decode(codes, _labels_of(subject, first, len(codes)))

    shown = test.pixels[places], test.codes[places]
    dimensions = most_used(kl, subject.experiment.group_dims, figures.TRAVERSED)
    figures.draw_traversals(decode, *shown, dimensions, subject.display, folder)
    names = "traversals_prior.png", "traversals_posterior.png", "traversals.gif"
    facts = {
        "dimensions": [subject.name_dimension(i) for i in dimensions],
        "of_all": len(kl),
        "images": len(places),
        "low": QUANTILES[0],
        "high": QUANTILES[-1],
    }
    return Section(facts, {name: folder / name for name in names})

"""Edits by attribute vectors: do they reach what they are for, and keep the rest?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from experiments.latents.attributes import LEAST_ACCURACY, Attributes
from experiments.latents.section import Section, Table, flatten, save_matrix
from experiments.latents.subject import Examples, Subject
from vae.data.splits import evenly_spaced
from vae.latents.edit import (
    EditEffect,
    class_mean_direction,
    edit,
    measure_edit,
    probe_direction,
)

DIRECTIONS = {"class means": class_mean_direction, "probe": probe_direction}
STRENGTHS = (0.5, 1.0, 1.5, 2.0)
PAIRS = 3  # of the values of an attribute with many
EDITED, DRAWN = 1000, 4  # test images at most


class Edit(NamedTuple):
    """What is to become of images with a value of an attribute."""

    attribute: str
    source: int
    target: int
    name: str
    title: str


class Outcome(NamedTuple):
    """What an edit made of test images."""

    edit: Edit
    places: np.ndarray  # int [N], of the test images that were edited
    directions: dict[str, np.ndarray]  # [D] each
    effects: dict[tuple[str, float], EditEffect]  # by direction and strength
    best: tuple[str, float]  # which reach and keep the most of training images


def show_edits(subject: Subject, attributes: Attributes, folder: Path) -> Section:
    """Edits test images along both directions of every edit, and counts what changed,
    as it is read from the decoded images."""
    edits = choose_edits(subject, attributes)
    if not edits:
        return Section(
            left_out="the data have no labels or factors, besides those that the "
            f"decoder is given, that a probe reads right in {LEAST_ACCURACY:.0%} of "
            "the test images, and no bright strokes that could be measured."
        )
    outcomes = [try_edit(subject, attributes, edit) for edit in edits]
    unread = {
        name: accuracy
        for name, accuracy in attributes.accuracy.items()
        if name not in attributes.readable
    }
    facts = {
        "pairs": PAIRS,
        "is_measured": attributes.measured is not None,
        "is_conditional": subject.is_conditional,
        "has_learned_prior": subject.prior_moments is not None,
        "unread": unread,
        "least": LEAST_ACCURACY,
    }
    pictures = dict(_draw(subject, outcome, folder) for outcome in outcomes)
    return Section(facts, pictures, _tabulate(outcomes, attributes), _results(outcomes))


def choose_edits(subject: Subject, attributes: Attributes) -> list[Edit]:
    """Returns the edits between the closest values of each attribute that can be read.
    The label of a conditional model is left alone: its codes do not hold it."""
    codes = subject.styles(subject.train)
    edits = []
    for name in attributes.readable:
        if name == "label" and subject.is_conditional:
            continue
        values = attributes.train[name]
        seen = np.intersect1d(values, attributes.test[name])
        is_level = name != "label" and len(seen) == 2
        called = subject.name_label if name == "label" else str
        for source, target in closest_pairs(codes, values, seen):
            change = "low to high" if is_level else f"{source} to {target}"
            titles = change if is_level else f"{called(source)} to {called(target)}"
            names = f"{name} {change}", f"{name} {titles}"
            edits.append(Edit(name, source, target, *names))
    return edits


def closest_pairs(
    codes: np.ndarray, values: np.ndarray, among: np.ndarray
) -> list[tuple[int, int]]:
    """Returns up to three disjoint pairs of the values `among` [V], which codes [N, D]
    with the values [N] all have: again and again the two of those left whose mean codes
    are closest."""
    if not len(among):
        return []
    means = np.stack([codes[values == v].mean(axis=0) for v in among])
    distances = cdist(means, means)
    distances[np.tril_indices(len(among))] = np.inf
    pairs = []
    while len(pairs) < PAIRS and np.isfinite(distances).any():
        pair = np.unravel_index(distances.argmin(), distances.shape)
        pairs.append((int(among[pair[0]]), int(among[pair[1]])))
        distances[list(pair)] = np.inf
        distances[:, list(pair)] = np.inf
    return pairs


def try_edit(subject: Subject, attributes: Attributes, to_do: Edit) -> Outcome:
    """Fits both directions to training codes with either value, and edits images with
    the first. Training images choose the best direction and strength; test images show
    what they do."""
    values = attributes.train[to_do.attribute]
    fitted = np.isin(values, (to_do.source, to_do.target))
    codes, has_target = subject.styles(subject.train)[fitted], values == to_do.target
    directions = {
        name: fit(codes, has_target[fitted]) for name, fit in DIRECTIONS.items()
    }

    def measure(examples: Examples, known: Mapping[str, np.ndarray]):
        places = np.flatnonzero(known[to_do.attribute] == to_do.source)
        places = places[evenly_spaced(len(places), min(EDITED, len(places)))]

        def read(direction: np.ndarray, strength: float) -> dict[str, np.ndarray]:
            images = apply(subject, examples, places, direction, strength)
            found = attributes.read(images)
            return {name: found[name] for name in attributes.readable}

        before = read(directions["probe"], 0)
        effects = {
            (name, strength): measure_edit(
                before, read(direction, strength), to_do.attribute, to_do.target
            )
            for name, direction in directions.items()
            for strength in STRENGTHS
        }
        return places, effects

    _, tried = measure(subject.train, attributes.train)
    places, effects = measure(subject.test, attributes.test)
    merits = {how: e.reached + np.nan_to_num(e.kept) for how, e in tried.items()}
    best = max(merits, key=lambda how: merits[how])
    return Outcome(to_do, places, directions, effects, best)


def apply(
    subject: Subject,
    examples: Examples,
    places: np.ndarray,
    direction: np.ndarray,
    strength: float,
) -> np.ndarray:
    """Returns the mean images [N, H, W, C] of the edited codes of examples, decoded
    with their own labels where the decoder is given labels."""
    codes = edit(subject.styles(examples)[places], direction, strength)
    labels = examples.labels
    return subject.decode_styles(codes, None if labels is None else labels[places])


def _draw(subject: Subject, outcome: Outcome, folder: Path) -> tuple[str, Path]:
    """Draws some of the test images, and their edits from the opposite on. Returns the
    picture by its title."""
    direction, _ = outcome.best
    places = outcome.places
    places = places[evenly_spaced(len(places), min(DRAWN, len(places)))]
    strengths = (-1.0, 0.0, *STRENGTHS)
    vector = outcome.directions[direction]
    edited = [apply(subject, subject.test, places, vector, s) for s in strengths]
    effects = [outcome.effects[direction, strength] for strength in STRENGTHS]
    shares = ["", f"{effects[0].already:.0%}", *(f"{e.reached:.0%}" for e in effects)]
    heads = [f"{s:g}\n{share}" for s, share in zip(strengths, shares, strict=True)]
    title = f"{outcome.edit.title}, by {direction}"
    path = folder / f"edit_{outcome.edit.name.replace(' ', '_')}.png"
    save_matrix(
        path,
        np.stack([subject.test.pixels[places], *edited], axis=1),
        subject.display,
        columns=["test\nimage", *heads],
        title=title,
    )
    return title, path


def _tabulate(outcomes: list[Outcome], attributes: Attributes) -> list[Table]:
    """Returns a table of the best of each edit, and one of all that was tried."""
    others = attributes.readable
    header = ("edit", "direction", "strength", "images", "already", "reached", "kept")
    header += tuple(f"{name} kept" for name in others)

    def row(outcome: Outcome, how: tuple[str, float]) -> tuple[Any, ...]:
        effect = outcome.effects[how]
        kept = [effect.kept_per_attribute.get(name, "") for name in others]
        shares = effect.already, effect.reached, effect.kept, *kept
        count = len(outcome.places)
        return outcome.edit.title, how[0], f"{how[1]:g}", count, *shares

    best = [row(outcome, outcome.best) for outcome in outcomes]
    tried = [row(outcome, how) for outcome in outcomes for how in outcome.effects]
    return [Table(header, best), Table(header, tried)]


def _results(outcomes: list[Outcome]) -> dict[str, float]:
    results = {}
    for outcome in outcomes:
        prefix = f"edit/{outcome.edit.name}"
        results |= flatten(prefix, {"images": len(outcome.places)})
        for (direction, strength), effect in outcome.effects.items():
            shares = {"already": effect.already, "reached": effect.reached}
            if effect.kept_per_attribute:
                shares["kept"] = effect.kept
            for other, share in effect.kept_per_attribute.items():
                shares[f"kept_{other}"] = share
            results |= flatten(f"{prefix}/{direction}/strength_{strength:g}", shares)
    return results

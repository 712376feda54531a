"""What each group of a hierarchy holds: pictures of codes with one group changed.

Codes are in the coordinates of `Subject`: the noise of each group given those above.
So a change of one group carries the groups below along, which keep their own noise.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.latents.curves import choose_pairs
from experiments.latents.section import Section, Table, save_matrix
from experiments.latents.subject import Subject
from vae.data.splits import evenly_spaced

MOST = 8  # groups with a picture; of more, some are chosen evenly
IMAGES, REDRAWN, POINTS = 4, 7, 8  # rows and columns of pictures
MEASURED, DRAWS = 200, 4  # test examples, and new codes of each


def show_groups(
    subject: Subject, evaluated: Mapping[str, Any], folder: Path
) -> Section:
    """Shows which groups are needed for an image, and what each one changes; measures
    how much."""
    places = _places(subject.experiment.group_dims)
    change = [measure_change(subject, place) for place in places]
    numbers = range(1, len(places) + 1)
    columns: dict[str, Sequence[Any]] = {
        "group": numbers,
        "dimensions": [len(place) for place in places],
        "change": change,
    }
    for title, key in (
        ("rate", "latent/rate_per_group_nats"),
        ("active units", "latent/active_units_per_group"),
    ):
        if key in evaluated:
            columns[title] = evaluated[key]
    table = Table(tuple(columns), [*zip(*columns.values(), strict=True)])
    results = {"groups/change": change}
    drawn = {"kept": _draw_kept, "redrawn": _draw_redrawn}
    if choose_pairs(subject):
        drawn["moved"] = _draw_moved
    pictures = {}
    for name, draw in drawn.items() if subject.has_images else ():
        pictures[name] = folder / f"groups_{name}.png"
        draw(subject, places, pictures[name])
    facts = {"groups": len(places), "measured": min(MEASURED, len(subject.test.codes))}
    return Section(facts, pictures, [table], results)


def measure_change(subject: Subject, place: np.ndarray) -> float:
    """Returns by how much the mean of p(x | z) changes when the dimensions at a place
    are drawn anew from the prior: the root of the mean squared difference, over values
    of test examples."""
    total = len(subject.test.codes)
    chosen = np.tile(evenly_spaced(total, min(MEASURED, total)), DRAWS)
    codes, labels = subject.test.codes[chosen], _labels(subject, chosen)
    before = subject.decode(codes, labels)
    codes[:, place] = _draw(subject, labels, len(codes))[:, place]
    return float(np.sqrt(np.mean((subject.decode(codes, labels) - before) ** 2)))


def _draw(subject: Subject, labels: np.ndarray | None, count: int) -> np.ndarray:
    return subject.draw(np.zeros(count, np.int32) if labels is None else labels)


def _labels(subject: Subject, places: Sequence[int] | np.ndarray) -> np.ndarray | None:
    labels = subject.test.labels
    return None if labels is None else labels[np.asarray(places)]


def _places(sizes: Sequence[int]) -> list[np.ndarray]:
    """Returns the dimensions of each group."""
    return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])


def _shown(places: Sequence[np.ndarray]) -> list[int]:
    return evenly_spaced(len(places), min(MOST, len(places))).tolist()


def _save(
    subject: Subject, chosen: Sequence[int], codes: np.ndarray, path: Path, **words: Any
) -> None:
    """Writes the test images that are chosen, each beside the images of a row of codes
    [rows, columns, D]."""
    rows, columns, width = codes.shape
    labels = _labels(subject, np.repeat(chosen, columns))
    images = subject.decode(codes.reshape(-1, width), labels)
    images = images.reshape(rows, columns, *images.shape[1:])
    left = subject.test.pixels[np.asarray(chosen)][:, None]
    save_matrix(path, np.concatenate([left, images], 1), subject.display, **words)


def _draw_kept(subject: Subject, places: Sequence[np.ndarray], path: Path) -> None:
    """Draws test images of fewer and fewer groups; those below have no noise."""
    shown, total = _shown(places), len(subject.test.codes)
    chosen = np.random.default_rng(subject.seed).permutation(total)[:IMAGES].tolist()
    codes = np.repeat(subject.test.codes[chosen][:, None], len(shown), 1)
    for column, lowest in enumerate(shown):
        codes[:, column, : places[lowest][0]] = 0
    last = len(places)
    names = [f"{i + 1} to {last}" if i + 1 < last else f"{last}" for i in shown]
    across = "groups that are kept"
    _save(subject, chosen, codes, path, columns=["", *names], across=across)


def _draw_redrawn(subject: Subject, places: Sequence[np.ndarray], path: Path) -> None:
    """Draws one test image: a group is drawn anew in each row, again in each column."""
    shown = _shown(places)
    codes = np.tile(subject.test.codes[0], (len(shown), 1 + REDRAWN, 1))
    new = _draw(subject, _labels(subject, [0] * REDRAWN), REDRAWN)
    for row, group in enumerate(shown):
        codes[row][1:, places[group]] = new[:, places[group]]
    names = [f"{group + 1}" for group in shown]
    chosen = [0] * len(shown)
    _save(subject, chosen, codes, path, rows=names, down="group drawn anew")


def _draw_moved(subject: Subject, places: Sequence[np.ndarray], path: Path) -> None:
    """Draws the way from one test image to another: in a row one group alone goes, in
    the last row all."""
    (first, last), shown = choose_pairs(subject)[0], _shown(places)
    start, end = subject.test.codes[[first, last]]
    moved = [*(places[group] for group in shown), np.concatenate(places)]
    codes = np.tile(start, (len(moved), POINTS, 1))
    shares = np.linspace(0, 1, POINTS)[:, None]
    for row, place in enumerate(moved):
        codes[row][:, place] = (1 - shares) * start[place] + shares * end[place]
    names = [*(f"{group + 1}" for group in shown), "all"]
    chosen = [first] * len(moved)
    _save(subject, chosen, codes, path, rows=names, down="group that moves")

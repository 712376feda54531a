"""Samples of the prior and of a fitted density: are they as varied as the data, and
are they new?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.figures import COLUMNS, save_grid
from experiments.latents.attributes import Attributes
from experiments.latents.section import Section, Table
from experiments.latents.subject import Subject
from vae import rng
from vae.data.preprocess import to_unit
from vae.data.splits import evenly_spaced
from vae.evaluation.coverage import (
    MISSING_SHARE,
    compare_classes,
    fit_principal_components,
    frechet_distance,
    precision_recall_density_coverage,
)
from vae.evaluation.probe import NUM_FEATURES
from vae.latents.aggregate import fit_gaussian_mixture
from vae.latents.neighbours import nearest
from vae.types import is_image, noun

TEMPERATURES = (1.0, 0.7)  # of the standard normal prior: its scale
COMPONENTS = 10  # of the fitted density, unless the run's configuration has some
ROWS = 5
PRINCIPAL = 32
BALL_NEIGHBOURS = 5  # to which the balls around points reach
SAMPLES, NEIGHBOURS = 12, 5  # shown
COMPARED = 500  # samples, and as many test images
CLASSES = 20  # shown at most
LOOKED_THROUGH = 60_000  # training images, at most

Images = dict[str, np.ndarray]  # [N, H, W, C], by where their codes are from


def generate(subject: Subject) -> Images:
    """Returns as many images as there are test images of each kind: "prior" (at a
    temperature, if it is the standard normal) and "fitted density"."""
    count = len(subject.test.codes)
    labels = subject.spread_labels(count)
    # The first ones, which are shown, should be of all labels.
    labels = labels[np.random.default_rng(subject.seed).permutation(count)]
    z = subject.draw(labels)
    codes = {"prior": z}
    if subject.is_standard_normal:
        codes = {f"prior, temperature {t:g}": t * z for t in TEMPERATURES}
    if not (subject.is_conditional or subject.has_large_codes):
        asked = subject.experiment.config["evaluate"]["fitted_density"]
        components = asked["components"] or COMPONENTS
        components = min(components, len(subject.train.codes))
        density = fit_gaussian_mixture(subject.sample_train(), components, subject.seed)
        key = rng.stream(subject.seed, "fitted")
        codes["fitted density"] = np.asarray(density.sample(key, (count,)))
    return {name: subject.decode(z, labels) for name, z in codes.items()}


def show_samples(subject: Subject, generated: Images, folder: Path) -> Section:
    """Shows some of each kind."""
    pictures = {}
    for name, images in generated.items():
        pictures[name] = folder / f"samples_{_key(name)}.png"
        save_grid(pictures[name], images[: COLUMNS * ROWS], subject.display)
    return Section(pictures=pictures)


def _key(name: str) -> str:
    return name.replace(", temperature", "").replace(" ", "_").replace(".", "p")


def compare_with_data(
    subject: Subject, attributes: Attributes, generated: Images
) -> Section:
    """Measures precision, recall, density, coverage and Frechet distances, and compares
    classes."""
    real, train = subject.test.pixels, subject.train.pixels
    count = len(real)
    if np.isnan(real).any() or np.isnan(train).any():
        return Section(left_out="it needs examples without missing values.")
    if min(count, len(train)) <= BALL_NEIGHBOURS:
        needed = f"more than {BALL_NEIGHBOURS} test and training examples"
        return Section(left_out=f"it needs {needed}.")
    # Users' data may be in order of their labels.
    of_train = evenly_spaced(len(train), min(count, len(train)))
    kind = noun(real.shape[1:])
    sets = {f"training {kind}": train[of_train], **generated}
    components = min(PRINCIPAL, len(train), real[0].size)
    features: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        f"PCA-{components}": fit_principal_components(train, components)
    }
    if attributes.probe is not None:
        features["LeNet"] = attributes.probe.features
    rows, results = [], {}
    for space, look in features.items():
        looked = look(real)
        for name, images in sets.items():
            fake = look(images)
            found = precision_recall_density_coverage(looked, fake, BALL_NEIGHBOURS)
            scores = found._asdict() | {"frechet": frechet_distance(looked, fake)}
            rows.append((space, name, *scores.values()))
            for measure, value in scores.items():
                key = f"coverage/{space.lower()}/{_key(name)}/{measure}"
                results[key] = value
    header = ("features", kind, "precision", "recall", "density", "coverage", "FD")
    tables = [Table(header, rows)]
    facts: dict[str, Any] = {
        "count": count,
        "noun": kind,
        "features": "pixels" if is_image(real.shape[1:]) else "columns",
        "neighbours": BALL_NEIGHBOURS,
        "components": components,
        "probe_features": NUM_FEATURES if attributes.probe else None,
        "accuracy": attributes.accuracy.get("label"),
        "missing_share": MISSING_SHARE,
        "classes": 0,
    }
    if "label" in attributes.accuracy:
        table, of_classes, num_classes = _compare_classes(
            subject, attributes, generated
        )
        tables.append(table)
        results |= of_classes
        facts |= {"classes": num_classes, "shown": min(CLASSES, num_classes)}
    return Section(facts, tables=tables, results=results)


def _compare_classes(
    subject: Subject, attributes: Attributes, generated: Images
) -> tuple[Table, dict[str, Any], int]:
    """Compares classes, as the probe reads them, of real and of generated images.
    Returns the table, the results and the number of classes."""
    assert attributes.probe is not None, "it has an accuracy"
    probe, classes = attributes.probe, attributes.probe.values["label"]

    def read(images: np.ndarray) -> np.ndarray:
        """Returns places in `classes`."""
        return np.searchsorted(classes, probe.read(images)["label"])

    shown = evenly_spaced(len(classes), min(CLASSES, len(classes)))
    real = read(subject.test.pixels)
    counts = np.bincount(real, minlength=len(classes))
    rows, results = [("test images", *counts[shown], "", "")], {}
    for name, images in generated.items():
        found = compare_classes(real, read(images), len(classes))
        missing = classes[list(found.missing)].tolist()
        listed = ", ".join(map(subject.name_label, missing[:CLASSES])) or "none"
        if len(missing) > CLASSES:
            listed = f"{len(missing)}: {listed}, ..."
        test = f"{found.statistic:.0f} (p = {found.p_value:.2g})"
        rows.append((name, *found.fake_counts[shown], test, listed))
        key = f"coverage/classes/{_key(name)}"
        results[f"{key}/chi_square"] = found.statistic
        results[f"{key}/p_value"] = found.p_value
        results[f"{key}/missing"] = missing
        results[f"{key}/counts"] = found.fake_counts.tolist()
    header = (
        "images",
        *map(subject.name_label, classes[shown]),
        "chi-square",
        "missing",
    )
    return Table(header, rows), results, len(classes)


def show_neighbours(subject: Subject, generated: Images, folder: Path) -> Section:
    """Shows the training images nearest to samples, and compares distances with those
    of test images: a model that remembers is closer."""
    train = subject.experiment.dataset.train.images
    train = train[:: -(-len(train) // LOOKED_THROUGH)]
    name, images = next(iter(generated.items()))
    count = min(COMPARED, len(images))
    places, distances = nearest(images[:count], train, NEIGHBOURS)
    found = places.shape[1]  # fewer than asked for, if there are fewer images
    of_test = evenly_spaced(len(subject.test.pixels), count)
    _, test_distances = nearest(subject.test.pixels[of_test], train, 1)
    shown = [
        np.concatenate([image[None], to_unit(train[near])])
        for image, near in zip(images[:SAMPLES], places, strict=False)
    ]
    path = folder / "neighbours.png"
    save_grid(path, np.concatenate(shown), subject.display, 2 * (found + 1))
    facts = {"kind": name, "searched": len(train), "found": found}
    results = {
        "neighbours/median_distance_of_samples": float(np.median(distances[:, 0])),
        "neighbours/median_distance_of_test_images": float(np.median(test_distances)),
    }
    return Section(facts, {"neighbours": path}, results=results)

"""Samples of the prior and of a fitted density: are they as varied as the data, and
are they new?"""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.figures import COLUMNS
from experiments.latents.attributes import Attributes
from experiments.latents.section import Section, Table, grid, left_out
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

TEMPERATURES = (1.0, 0.7)  # of the standard normal prior: its scale
COMPONENTS = 10  # of the fitted density, unless the run's configuration has some
ROWS = 5
PRINCIPAL = 32
BALL_NEIGHBOURS = 5  # to which the balls around points reach
SAMPLES, NEIGHBOURS = 12, 5  # shown
COMPARED = 500  # samples, and as many test images
CLASSES = 20  # shown at most
LOOKED_THROUGH = 60_000  # training images, at most


def generate(subject: Subject) -> dict[str, np.ndarray]:
    """Returns as many images as there are test images, by where their codes are from:
    each "prior" (at a temperature if it is the standard normal) and "fitted density".
    """
    count = len(subject.test.codes)
    labels = subject.spread_labels(count)
    # The first ones, which are shown, should be of all labels.
    labels = labels[np.random.default_rng(subject.seed).permutation(count)]
    z = subject.draw("samples", labels)
    codes = {"prior": z}
    if subject.experiment.model.prior.factorises:
        codes = {f"prior, temperature {t:g}": t * z for t in TEMPERATURES}
    if not subject.is_conditional:
        asked = subject.experiment.config["evaluate"]["fitted_density"]
        components = asked["components"] or COMPONENTS
        components = min(components, len(subject.train.codes))
        density = fit_gaussian_mixture(subject.sample_train(), components, subject.seed)
        key = rng.stream(subject.seed, "fitted")
        codes["fitted density"] = np.asarray(density.sample(key, (count,)))
    return {name: subject.decode(z, labels) for name, z in codes.items()}


def show_samples(
    subject: Subject, generated: dict[str, np.ndarray], folder: Path
) -> Section:
    """Shows some of each kind."""
    pictures = [
        grid(
            folder,
            f"samples_{_file_name(name)}",
            images[: COLUMNS * ROWS],
            f"Codes from: {name}.",
            display=subject.display,
            columns=COLUMNS,
        )
        for name, images in generated.items()
    ]
    text = (
        "Mean images p(x | z) of random codes. A temperature multiplies the prior's "
        "standard deviation; the fitted density is a mixture of Gaussians, fitted "
        "after training to codes drawn from the posteriors of training images (Ghosh "
        "et al. 2020)."
    )
    return Section(text, pictures)


def _file_name(name: str) -> str:
    return name.replace(", temperature", "").replace(" ", "_").replace(".", "p")


def compare_with_data(
    subject: Subject, attributes: Attributes, generated: dict[str, np.ndarray]
) -> Section:
    """Measures precision, recall, density, coverage and Frechet distances, and compares
    classes."""
    real, train = subject.test.pixels, subject.train.pixels
    count = len(real)
    if min(count, len(train)) <= BALL_NEIGHBOURS:
        return left_out(
            f"it needs more than {BALL_NEIGHBOURS} test and training images."
        )
    # Users' data may be in order of their labels.
    of_train = evenly_spaced(len(train), min(count, len(train)))
    sets = {"training images": train[of_train], **generated}
    features = {}
    components = min(PRINCIPAL, len(train), real[0].size)
    features[f"PCA-{components}"] = fit_principal_components(train, components)
    if attributes.probe is not None:
        features["LeNet"] = attributes.probe.features
    rows, results = [], {}
    for space, look in features.items():
        looked = look(real)
        for name, images in sets.items():
            fake = look(images)
            scores = precision_recall_density_coverage(looked, fake, BALL_NEIGHBOURS)
            distance = frechet_distance(looked, fake)
            rows.append((space, name, *scores, distance))
            key = f"coverage/{space.lower()}/{_file_name(name)}"
            for measure, value in (scores._asdict() | {"frechet": distance}).items():
                results[f"{key}/{measure}"] = value
    header = ("features", "images", "precision", "recall", "density", "coverage", "FD")
    tables = [Table(header, rows, f"{count} images of each kind, against test images.")]
    text = (
        "Precision and recall are by balls around points, each as large as the "
        f"distance to neighbour {BALL_NEIGHBOURS} (Kynkaanniemi et al. 2019); density "
        "and coverage are those of Naeem et al. (2020). All are best near what "
        "training images score. FD is the squared Frechet distance of two Gaussians "
        f"fitted to the features: {components} principal components of pixels"
    )
    if attributes.probe is not None:
        text += (
            f", or the {NUM_FEATURES} features of a small classifier trained here "
            "(FD-LeNet, which is not FID)"
        )
    text += "."
    if "label" in attributes.accuracy:
        table, of_classes = _compare_classes(subject, attributes, generated)
        tables.append(table)
        results |= of_classes
        text += (
            f" The classifier reads {attributes.accuracy['label']:.1%} of the test "
            "images right. A class is called missing if its share of the generated "
            f"images is less than {MISSING_SHARE:g} times that of the test images."
        )
    return Section(text, tables=tables, results=results)


def _compare_classes(
    subject: Subject, attributes: Attributes, generated: dict[str, np.ndarray]
) -> tuple[Table, dict[str, Any]]:
    """Compares classes, as the probe reads them, of real and of generated images."""
    assert attributes.probe is not None, "it has an accuracy"
    probe, classes = attributes.probe, attributes.probe.values["label"]

    def read(images: np.ndarray) -> np.ndarray:
        """Returns places in `classes`; what is measured besides is not asked for."""
        return np.searchsorted(classes, probe.read(images)["label"])

    shown = evenly_spaced(len(classes), min(CLASSES, len(classes)))
    real = read(subject.test.pixels)
    counts = np.bincount(real, minlength=len(classes))
    rows, results = [("test images", *counts[shown], "", "")], {}
    for name, images in generated.items():
        found = compare_classes(real, read(images), len(classes))
        missing = classes[list(found.missing)].tolist()
        told = ", ".join(map(str, missing[:CLASSES])) or "none"
        if len(missing) > CLASSES:
            told = f"{len(missing)}: {told}, ..."
        test = f"{found.statistic:.0f} (p = {found.p_value:.2g})"
        rows.append((name, *found.fake_counts[shown], test, told))
        key = f"coverage/classes/{_file_name(name)}"
        results[f"{key}/chi_square"] = found.statistic
        results[f"{key}/p_value"] = found.p_value
        results[f"{key}/missing"] = missing
        results[f"{key}/counts"] = found.fake_counts.tolist()
    header = ("images", *map(str, classes[shown]), "chi-square", "missing")
    caption = "How many images the classifier reads as each class"
    if len(shown) < len(classes):
        caption += f"; {len(shown)} of {len(classes)} classes are shown"
    caption += "."
    return Table(header, rows, caption), results


def show_neighbours(
    subject: Subject, generated: dict[str, np.ndarray], folder: Path
) -> Section:
    """Shows the training images nearest to samples, and compares distances with those
    of test images: a model that remembers is closer."""
    train = subject.experiment.dataset.train.images
    step = -(-len(train) // LOOKED_THROUGH)
    train = train[::step]
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
    medians = float(np.median(distances[:, 0])), float(np.median(test_distances))
    picture = grid(
        folder,
        "neighbours",
        np.concatenate(shown),
        f"Two samples in each row, each followed by the {found} training images that "
        "are nearest to it.",
        display=subject.display,
        columns=2 * (found + 1),
    )
    text = (
        f"Samples ({name}) beside the training images, of {len(train)}, that are "
        "nearest by the Euclidean distance of pixels. The median distance to the "
        f"nearest is {medians[0]:.2f} of samples, {medians[1]:.2f} of test images: a "
        "model that remembers its training images has a much smaller one. (Mean images "
        "are smooth, which by itself brings them closer.)"
    )
    results = {
        "neighbours/median_distance_of_samples": medians[0],
        "neighbours/median_distance_of_test_images": medians[1],
    }
    return Section(text, [picture], results=results)

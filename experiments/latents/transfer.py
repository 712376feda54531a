"""Every class in the style of an image, by the label that a decoder is given."""

from pathlib import Path

import numpy as np

from experiments.latents.attributes import Attributes, Scorer
from experiments.latents.section import Section, flatten, save_matrix, tabulate
from experiments.latents.subject import MOST_PIXELS, Subject
from vae.data.splits import evenly_spaced
from vae.latents.swap import style_transfer
from vae.types import Array

STYLES, CLASSES = 8, 10  # drawn at most
MEASURED = 500  # test images at most


def show_style_transfer(
    subject: Subject, attributes: Attributes, folder: Path
) -> Section:
    """Decodes the styles of test images with every label."""
    if not subject.is_conditional:
        return Section(
            left_out="only a conditional model, trained with "
            "--config.model.condition=label, draws every class in one style."
        )
    known = np.unique(np.asarray(subject.train.labels))
    classes = known[evenly_spaced(len(known), min(CLASSES, len(known)))]
    shown = choose_styles(subject, attributes)
    left, right = subject.test.pixels[shown], transfer(subject, shown, classes)
    path = folder / "style_transfer.png"
    save_matrix(
        path,
        np.concatenate([left[:, None], right], axis=1),
        subject.display,
        columns=["image", *map(subject.name_label, classes)],
    )
    rows = measure_transfer(subject, attributes, classes)
    facts = {
        "images": len(shown),
        "classes": len(classes),
        "of_all": len(known),
        "has_learned_prior": subject.prior_moments is not None,
        "is_measured": attributes.measured is not None,
    }
    return Section(
        facts,
        {"style_transfer": path},
        [tabulate("images", rows)],
        flatten("style_transfer", rows),
    )


def choose_styles(subject: Subject, attributes: Attributes) -> np.ndarray:
    """Returns the places of up to eight test images of different styles: for each way
    in which what is measured is low or high the image whose style is closest to the
    mean of theirs, or without measures evenly spaced ones."""
    count = len(subject.test.codes)
    if attributes.measured is None:
        return evenly_spaced(count, min(STYLES, count))
    values = np.stack([attributes.test[name] for name in ("slant", "width", "ink")])
    _, kinds = np.unique(values, axis=1, return_inverse=True)
    styles, shown = subject.styles(subject.test), []
    for kind in range(kinds.max() + 1):
        places = np.flatnonzero(kinds == kind)
        away = styles[places] - styles[places].mean(axis=0)
        shown.append(places[np.linalg.norm(away, axis=1).argmin()])
    return np.array(shown)


def transfer(subject: Subject, places: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Returns the images [N, K, H, W, C] of classes [K] in the styles of the test
    images at places [N]."""

    def decode(z: Array, label: Array) -> np.ndarray:
        return subject.decode_styles(z, classes[label])

    styles = subject.styles(subject.test)[places]
    return np.asarray(style_transfer(decode, styles, len(classes)))


def measure_transfer(
    subject: Subject, attributes: Attributes, classes: np.ndarray
) -> dict[str, dict[str, float]]:
    """Scores classes [K] in the styles of test images, beside what the images' own
    reconstructions, and styles of other images, would score."""
    labels = np.asarray(subject.test.labels)
    pixels = len(classes) * subject.test.pixels[0].size
    count = min(MEASURED, len(labels), max(1, MOST_PIXELS // pixels))
    places = evenly_spaced(len(labels), count)
    others = np.random.default_rng(subject.seed).permutation(places)
    images = transfer(subject, places, classes)
    images = images.reshape(-1, *images.shape[2:])
    asked = np.tile(classes, count)
    own = subject.decode(subject.test.codes[places], labels[places])
    score = Scorer(subject, attributes, "label")
    return {
        "reconstruction": score(own, labels[places], places),
        "every class": score(images, asked, places.repeat(len(classes))),
        "styles of other images": score(images, asked, others.repeat(len(classes))),
    }

"""What can be read of an image: its label or factors, its strokes, and its style."""

from typing import NamedTuple

import numpy as np

from experiments.latents.subject import Examples, Subject
from vae.evaluation.probe import (
    MeasuredAttributes,
    Probe,
    fit_measured_attributes,
    measure,
    train_probe,
)
from vae.types import Array

MANY_VALUES = 4  # a factor of more is read as its lower or upper half
LEAST_ACCURACY = 0.9  # of the probe, for what it reads to be believed
DARK = 0.1  # below it the median pixel is background, and strokes can be measured


class Attributes(NamedTuple):
    """Attributes with values int [N]; "label" is that of the data."""

    probe: Probe | None
    measured: MeasuredAttributes | None
    accuracy: dict[str, float]  # of the probe on test images, by attribute
    train: dict[str, np.ndarray]  # those of the subject's images
    test: dict[str, np.ndarray]

    @property
    def readable(self) -> tuple[str, ...]:
        """The names of those that are measured, and of those that the probe reads right
        in nearly all test images."""
        return tuple(
            name for name in self.test if self.accuracy.get(name, 1) >= LEAST_ACCURACY
        )

    def read(self, images: Array) -> dict[str, np.ndarray]:
        """Reads all attributes of images [N, H, W, C]."""
        probed = self.probe.read(images) if self.probe else {}
        return probed | (self.measured.read(images) if self.measured else {})


def find_attributes(subject: Subject) -> Attributes:
    """Trains a probe where there are labels or factors of more than one value; measures
    bright strokes on a dark background where there are no factors. For vectors,
    nothing is read."""
    train, test = (_known(subject, part) for part in (subject.train, subject.test))
    train = {name: of_all for name, of_all in train.items() if len(set(of_all)) > 1}
    test = {name: values for name, values in test.items() if name in train}
    probe, accuracy = None, {}
    if not subject.has_images:
        return Attributes(None, None, {}, train, test)
    if train:
        probe = train_probe(subject.train.pixels, train, seed=subject.seed)
        read = probe.read(subject.test.pixels)
        accuracy = {name: float(np.mean(read[name] == test[name])) for name in test}
    measured = None
    pixels = subject.train.pixels
    is_grey = pixels.shape[-1] == 1 and pixels.min() >= 0
    is_dark = is_grey and np.median(pixels[::10]) < DARK
    if is_dark and subject.experiment.data.factors is None:
        measured = fit_measured_attributes(pixels)
        train, test = (
            known | measured.read(part.pixels)
            for known, part in ((train, subject.train), (test, subject.test))
        )
    return Attributes(probe, measured, accuracy, train, test)


def _known(subject: Subject, examples: Examples) -> dict[str, np.ndarray]:
    """Returns what the data set says of its images."""
    source = subject.experiment.data.factors
    if source is None or examples.factors is None:
        labels = examples.labels
        return {} if labels is None else {"label": labels}
    return {
        name: values if size <= MANY_VALUES else (values >= size / 2).astype(np.int32)
        for name, size, values in zip(
            source.names, source.sizes, examples.factors.T, strict=True
        )
        if size > 1
    }


class Scorer(NamedTuple):
    """Reads content and style from decoded images."""

    subject: Subject
    attributes: Attributes
    content: str  # the attribute that is content; the others are style

    def __call__(
        self, images: np.ndarray, asked: np.ndarray, places: np.ndarray
    ) -> dict[str, float]:
        """Scores images [N, H, W, C] that should have the content `asked` [N] and the
        style of the test images at places [N].

        Returns:
          For each attribute that can be read the share of images where it is as it
          should be; `NAME r` is the correlation of what is measured with that of the
          test images.
        """
        read, wanted = self.attributes.read(images), self.attributes.test
        scores = {}
        for name in (self.content, *self.style):
            right = asked if name == self.content else wanted[name][places]
            if name in self.attributes.readable:
                scores[name] = float(np.mean(read[name] == right))
        if self.attributes.measured is not None:
            sources = measure(self.subject.test.pixels[places])
            for name, values in measure(images).items():
                scores[f"{name} r"] = correlate_within(values, sources[name], asked)
        return scores

    @property
    def style(self) -> list[str]:
        """The attributes that are style."""
        return [name for name in self.attributes.readable if name != self.content]


def correlate_within(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> float:
    """Returns the mean over groups [N] of the correlation of a [N] and b [N] in them,
    0 where either is constant."""
    found = []
    for group in np.unique(groups):
        x, y = (v[groups == group] - v[groups == group].mean() for v in (a, b))
        scale = np.sqrt((x @ x) * (y @ y))
        found.append(x @ y / scale if scale > 0 else 0.0)
    return float(np.mean(found))

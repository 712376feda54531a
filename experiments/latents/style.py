"""How far images show one image's content and another's style."""

from typing import NamedTuple

import numpy as np

from experiments.latents.attributes import Attributes
from experiments.latents.section import Table
from experiments.latents.subject import Subject
from vae.evaluation.probe import measure


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

    def describe(self) -> str:
        """Says what the columns of `tabulate` are."""
        text = (
            f"Shares of images that are read as they should be: in {self.content} as "
            "asked for, in all else as the test image whose style they were given"
        )
        if self.attributes.measured is not None:
            text += (
                "; r is the correlation of what is measured with that test image's, "
                f"among images of one {self.content}, averaged over these"
            )
        return f"{text}."


def correlate_within(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> float:
    """Returns the mean over groups [N] of the correlation of a [N] and b [N] in them,
    0 where either is constant."""
    found = []
    for group in np.unique(groups):
        x, y = (v[groups == group] - v[groups == group].mean() for v in (a, b))
        scale = np.sqrt((x @ x) * (y @ y))
        found.append(x @ y / scale if scale > 0 else 0.0)
    return float(np.mean(found))


def tabulate(rows: dict[str, dict[str, float]], caption: str) -> Table:
    """Makes a table of scores by what the images are."""
    header = ("images", *next(iter(rows.values())))
    return Table(
        header, [(name, *scores.values()) for name, scores in rows.items()], caption
    )


def flatten(prefix: str, rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """Returns the scores by flat names, for `results.json`."""
    return {
        f"{prefix}/{name}/{score}".replace(" ", "_"): value
        for name, scores in rows.items()
        for score, value in scores.items()
    }

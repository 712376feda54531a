"""One image's content in another's style, by cutting codes in two."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.latents import style
from experiments.latents.attributes import LEAST_ACCURACY, Attributes
from experiments.latents.section import Picture, Section, left_out, matrix
from experiments.latents.subject import Subject
from vae.data.splits import evenly_spaced
from vae.evaluation.collapse import ACTIVE_VARIANCE
from vae.latents.swap import linear_discriminants, swap, variance_between

DRAWN, MEASURED = 8, 1000  # test images at most


class Groups(NamedTuple):
    """A latent space cut in two: content, and the rest, style."""

    basis: np.ndarray  # [D, D]; coordinates of codes [N, D] are `codes @ basis`
    is_content: np.ndarray  # bool [D], of the coordinates

    def swap(self, contents: np.ndarray, styles: np.ndarray) -> np.ndarray:
        """Returns codes [N, M, D] with the content of codes [N, D] and the style of
        codes [M, D]."""
        return self._swap(swap, contents, styles)

    def swap_pairs(self, contents: np.ndarray, styles: np.ndarray) -> np.ndarray:
        """Returns codes [N, D], each with the content and the style of one code of
        [N, D]."""
        one_by_one = jax.vmap(swap, (0, 0, None))
        swapped = self._swap(one_by_one, contents[:, None], styles[:, None])
        return swapped[:, 0, 0]

    def _swap(self, how: Callable[..., Any], a: np.ndarray, b: np.ndarray):
        swapped = how(a @ self.basis, b @ self.basis, self.is_content)
        return np.asarray(swapped) @ np.linalg.inv(self.basis)


def by_dimensions(codes: np.ndarray, values: np.ndarray) -> Groups:
    """Takes for content the active dimensions of codes [N, D] with more than the median
    share of their variance between the values [N]."""
    active, share = _active(codes), variance_between(codes, values)
    is_content = active & (share > np.median(share[active]))
    return Groups(np.eye(codes.shape[1]), is_content)


def by_discriminants(codes: np.ndarray, values: np.ndarray) -> Groups:
    """Takes for content the linear discriminants of the values [N] of codes [N, D]: one
    less than values, but at most half as many as active dimensions."""
    number = min(len(np.unique(values)) - 1, max(1, int(_active(codes).sum()) // 2))
    basis = linear_discriminants(codes, values)
    return Groups(basis, np.arange(len(basis)) < number)


def _active(codes: np.ndarray) -> np.ndarray:
    """Says which dimensions, bool [D], are used."""
    return codes.var(axis=0) > ACTIVE_VARIANCE


CUTS = {"dimensions": by_dimensions, "discriminants": by_discriminants}


def show_swaps(subject: Subject, attributes: Attributes, folder: Path) -> Section:
    """Swaps content and style of test images, cut in both ways."""
    if subject.is_conditional:
        return left_out("the decoder is given the label; see style transfer, above.")
    if not _active(subject.train.codes).any():
        return left_out("no dimension is active.")
    content = _choose_content(attributes)
    if content is None:
        return left_out(
            "the data have no labels or factors of two values or more that a probe "
            f"reads right in {LEAST_ACCURACY:.0%} of the test images.",
        )
    values = attributes.train[content]
    groups = {name: cut(subject.train.codes, values) for name, cut in CUTS.items()}
    scorer = style.Scorer(subject, attributes, content)
    rows = measure_swaps(scorer, groups)
    return Section(
        _describe(scorer, groups, rows),
        [_draw(scorer, name, groups[name], folder) for name in CUTS],
        [style.tabulate(rows, scorer.describe())],
        style.flatten("swap", rows),
    )


def _choose_content(attributes: Attributes) -> str | None:
    """Returns the first label or factor that can be read and has values to swap."""
    for name in attributes.accuracy:
        values = np.intersect1d(attributes.train[name], attributes.test[name])
        if name in attributes.readable and len(values) > 1:
            return name
    return None


def swap_matrix(subject: Subject, groups: Groups, codes: np.ndarray) -> np.ndarray:
    """Returns images [N, N, H, W, C]: in row i and column j the content of code i of
    [N, D] in the style of code j."""
    count, size = codes.shape
    images = subject.decode(groups.swap(codes, codes).reshape(-1, size))
    return images.reshape(count, count, *images.shape[1:])


def measure_swaps(
    scorer: style.Scorer, groups: dict[str, Groups]
) -> dict[str, dict[str, float]]:
    """Scores swaps of random pairs of test images, between the reconstructions of the
    two: what no swap would give."""
    subject = scorer.subject
    count = len(subject.test.codes)
    contents = evenly_spaced(count, min(MEASURED, count))
    styles = np.random.default_rng(subject.seed).permutation(contents)
    a, b = subject.test.codes[contents], subject.test.codes[styles]
    swapped = {f"swapped {n}": cut.swap_pairs(a, b) for n, cut in groups.items()}
    asked = scorer.attributes.test[scorer.content][contents]
    codes = {"reconstruction of content": a, **swapped, "reconstruction of style": b}
    return {name: scorer(subject.decode(z), asked, styles) for name, z in codes.items()}


def _draw(scorer: style.Scorer, name: str, groups: Groups, folder: Path) -> Picture:
    """Draws all swaps of a few test images, evenly spaced over their contents."""
    subject = scorer.subject
    order = np.argsort(scorer.attributes.test[scorer.content], kind="stable")
    shown = order[evenly_spaced(len(order), min(DRAWN, len(order)))]
    codes = subject.test.codes[shown]
    own, body = subject.decode(codes), swap_matrix(subject, groups, codes)
    corner = np.full_like(own[:1], subject.display.high)  # white
    head = np.concatenate([corner, own])
    images = np.concatenate([own[:, None], body], axis=1)
    return matrix(
        folder,
        f"swap_{name}",
        np.concatenate([head[None], images]),
        f"Cut by {name}. Above the line and left of it reconstructions of the same "
        "test images: each row has the content of the one on its left, each column the "
        "style of the one above.",
        display=subject.display,
        columns=(),
        across="style of the top row",
        down="content of the left column",
        title=f"swapped {name}",
        heads=1,
    )


def _describe(
    scorer: style.Scorer, groups: dict[str, Groups], rows: dict[str, dict[str, float]]
) -> str:
    """Says how codes are cut, and how far the swaps go."""
    content = scorer.content
    dimensions, discriminants = (int(cut.is_content.sum()) for cut in groups.values())
    text = (
        f"Content is {content}, and style all else. Codes are cut in two ways. By "
        "dimensions: content are the active ones with more than the median share of "
        f"their variance, over training codes, between values of {content} "
        f"({dimensions} of them). By discriminants: content are the directions in "
        f"which values of {content} differ most, relative to the variance within one "
        f"({discriminants} of them), and style those uncorrelated with them within "
        "one. "
    )
    first, *_, last = rows.values()
    for name in groups:
        found = rows[f"swapped {name}"]
        text += (
            f"Swapped {name} go {_way(found, last, first, [content]):.0%} of the way "
            "from the style's to the content's own reconstruction in content"
        )
        if scorer.style:
            back = _way(found, first, last, scorer.style)
            text += f", and {back:.0%} of the way back in style"
        text += ". "
    return text + (
        "A perfect swap goes all the way in both; where more of one is less of the "
        "other, the codes are entangled."
    )


def _way(
    found: dict[str, float],
    start: dict[str, float],
    end: dict[str, float],
    names: list[str],
) -> float:
    """Returns which share of the way from start to end was found, over all names."""
    way = sum(end[name] - start[name] for name in names)
    return sum(found[name] - start[name] for name in names) / way if way else 0.0

"""One image's content in another's style, by cutting codes in two."""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.latents.attributes import LEAST_ACCURACY, Attributes, Scorer
from experiments.latents.section import Section, flatten, save_matrix, tabulate
from experiments.latents.subject import Subject
from vae.data.splits import evenly_spaced
from vae.evaluation.collapse import ACTIVE_VARIANCE
from vae.latents.swap import linear_discriminants, variance_between

DRAWN, MEASURED = 8, 1000  # test images at most

Scores = dict[str, float]  # of one kind of image, by attribute


class Groups(NamedTuple):
    """A latent space cut in two: content, and the rest, style."""

    basis: np.ndarray  # [D, D]; coordinates of codes [N, D] are `codes @ basis`
    is_content: np.ndarray  # bool [D], of the coordinates

    def swap(self, contents: np.ndarray, styles: np.ndarray) -> np.ndarray:
        """Returns codes with the content of `contents` [..., D] and the style of
        `styles` [..., D], which broadcast."""
        swapped = jnp.where(self.is_content, contents @ self.basis, styles @ self.basis)
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
        given = "the decoder is given the label; see style transfer, above."
        return Section(left_out=given)
    if not _active(subject.train.codes).any():
        return Section(left_out="no dimension is active.")
    content = _choose_content(attributes)
    if content is None:
        return Section(
            left_out="the data have no labels or factors of two values or more that a "
            f"probe reads right in {LEAST_ACCURACY:.0%} of the test images."
        )
    values = attributes.train[content]
    groups = {name: cut(subject.train.codes, values) for name, cut in CUTS.items()}
    scorer = Scorer(subject, attributes, content)
    rows = measure_swaps(scorer, groups)
    first, *_, last = rows.values()
    found = {name: rows[f"swapped {name}"] for name in groups}
    facts = {
        "content": content,
        "sizes": {name: int(cut.is_content.sum()) for name, cut in groups.items()},
        "to_content": {n: _way(s, last, first, [content]) for n, s in found.items()},
        "to_style": {n: _way(s, first, last, scorer.style) for n, s in found.items()},
        "has_style": bool(scorer.style),
        "is_measured": attributes.measured is not None,
    }
    pictures = {name: _draw(scorer, name, cut, folder) for name, cut in groups.items()}
    return Section(facts, pictures, [tabulate("images", rows)], flatten("swap", rows))


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
    images = subject.decode(groups.swap(codes[:, None], codes).reshape(-1, size))
    return images.reshape(count, count, *images.shape[1:])


def measure_swaps(scorer: Scorer, groups: dict[str, Groups]) -> dict[str, Scores]:
    """Scores swaps of random pairs of test images, between the reconstructions of the
    two: what no swap would give."""
    subject = scorer.subject
    count = len(subject.test.codes)
    contents = evenly_spaced(count, min(MEASURED, count))
    styles = np.random.default_rng(subject.seed).permutation(contents)
    a, b = subject.test.codes[contents], subject.test.codes[styles]
    swapped = {f"swapped {n}": cut.swap(a, b) for n, cut in groups.items()}
    asked = scorer.attributes.test[scorer.content][contents]
    codes = {"reconstruction of content": a, **swapped, "reconstruction of style": b}
    return {name: scorer(subject.decode(z), asked, styles) for name, z in codes.items()}


def _draw(scorer: Scorer, name: str, groups: Groups, folder: Path) -> Path:
    """Draws all swaps of a few test images, evenly spaced over their contents."""
    subject = scorer.subject
    order = np.argsort(scorer.attributes.test[scorer.content], kind="stable")
    shown = order[evenly_spaced(len(order), min(DRAWN, len(order)))]
    codes = subject.test.codes[shown]
    own, body = subject.decode(codes), swap_matrix(subject, groups, codes)
    corner = np.full_like(own[:1], subject.display.high)  # white
    head = np.concatenate([corner, own])
    images = np.concatenate([own[:, None], body], axis=1)
    path = folder / f"swap_{name}.png"
    save_matrix(
        path,
        np.concatenate([head[None], images]),
        subject.display,
        across="style of the top row",
        down="content of the left column",
        title=f"swapped {name}",
        heads=1,
    )
    return path


def _way(found: Scores, start: Scores, end: Scores, names: list[str]) -> float:
    """Returns which share of the way from start to end was found, over all names."""
    way = sum(end[name] - start[name] for name in names)
    return sum(found[name] - start[name] for name in names) / way if way else 0.0

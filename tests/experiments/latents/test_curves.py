"""Pairs of images, the curves between them, and traversals."""

from pathlib import Path

import numpy as np
import pytest

from experiments.latents import curves
from experiments.latents.subject import Subject
from tests.experiments.latents.conftest import CODES, COUNT, known_model, words


def identity() -> Subject:
    """A model whose images are its codes, with ten labels."""
    subject, _ = known_model(CODES, labels=np.arange(COUNT) % 10)
    return subject._replace(decode_now=lambda z, labels: z[:, None, :, None])


def test_curves_end_at_the_reconstructions() -> None:
    subject = identity()
    pairs = curves.choose_pairs(subject)
    assert len({place for pair in pairs for place in pair}) == 2 * len(pairs) == 8
    assert all(first % 10 != last % 10 for first, last in pairs)
    for points, _, _ in curves.trace_curves(subject, pairs).values():
        for side, end in ((0, 0), (1, -1)):
            places = [pair[side] for pair in pairs]
            ends = CODES[places].astype(np.float32)
            np.testing.assert_array_equal(points[:, end], ends)


def test_straight_lines_of_known_length_are_the_geodesics(tmp_path: Path) -> None:
    subject = identity()
    section = curves.show_interpolations(subject, tmp_path)
    lengths = [
        np.linalg.norm(CODES[first] - CODES[last])
        for first, last in curves.choose_pairs(subject)
    ]
    energy = np.square(lengths).mean() / (curves.POINTS - 1)
    for name in ("linear", "geodesic"):
        key = f"interpolation/{name}"
        expected = {"length": np.mean(lengths), "energy": energy}
        for measure, value in expected.items():
            found = section.results[f"{key}/{measure}"]
            assert found == pytest.approx(value, rel=1e-4)
    assert section.results["interpolation/spherical/length"] > np.mean(lengths)
    text = words("interpolation", section)
    assert "Each of 4 pairs" in text and "linear, spherical, geodesic" in text
    assert f"linear {np.mean(lengths):.2f} {energy:.2f}" in text


def test_pairs_of_a_conditional_model_share_the_label() -> None:
    labels = np.arange(COUNT) % 10
    subject, _ = known_model(CODES, labels=labels, is_conditional=True)
    pairs = curves.choose_pairs(subject)
    assert len(pairs) == 4
    assert all(labels[first] == labels[last] for first, last in pairs)


@pytest.mark.parametrize("is_conditional", [False, True])
def test_images_of_one_label_are_paired_as_if_they_had_none(is_conditional) -> None:
    labels = np.full(COUNT, 3)
    one, _ = known_model(CODES, labels=labels, is_conditional=is_conditional)
    assert curves.choose_pairs(one) == curves.choose_pairs(known_model(CODES)[0])
    assert len(curves.choose_pairs(one)) == curves.PAIRS


@pytest.mark.parametrize(
    ("labels", "is_conditional"), [(np.arange(2), True), (np.arange(1), False)]
)
def test_without_a_pair_nothing_is_interpolated(
    labels: np.ndarray, is_conditional: bool, tmp_path: Path
) -> None:
    codes = CODES[: len(labels)]
    few, _ = known_model(codes, labels=labels, is_conditional=is_conditional)
    reason = curves.show_interpolations(few, tmp_path).left_out
    assert "no two test images" in reason
    assert reason.endswith(" of one label.") == is_conditional


def test_traversals_of_a_conditional_model(conditional, tmp_path: Path) -> None:
    evaluated = {"latent/kl_per_dim": [1.0, 3.0, 2.0, 4.0]}
    section = curves.show_traversals(conditional, evaluated, tmp_path)
    assert all(path.exists() for path in section.pictures.values())
    text = words("traversals", section)
    assert "3, 1, 2, 0 of 4" in text and "A row is a test image (4 in all)" in text
    assert "rate" in curves.show_traversals(conditional, {}, tmp_path).left_out

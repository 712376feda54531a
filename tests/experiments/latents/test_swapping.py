"""Swaps by a decoder that is known: an image is its code, and its attributes are the
signs of the pixels."""

from pathlib import Path

import numpy as np
import pytest

from experiments.latents import swapping
from tests.experiments.latents.conftest import (
    CODES,
    COUNT,
    correlated_signs,
    known_model,
    words,
)


def rotated() -> tuple[np.ndarray, np.ndarray]:
    """Codes [N, 3] = content * (1, 1, 0) + style * (1, -1, 0) + noise * (0, 0, 1), and
    the values of the content."""
    random = np.random.default_rng(1)
    values = np.arange(COUNT) % 2
    content = 2.0 * values - 1 + 0.05 * random.normal(size=COUNT)
    by, noise = random.normal(size=(2, COUNT))
    return np.stack([content + by, content - by, noise], axis=1), values


@pytest.mark.parametrize("cut", swapping.CUTS.values(), ids=swapping.CUTS)
def test_the_diagonal_of_a_swap_matrix_is_reconstructions(cut) -> None:
    codes, values = rotated()
    subject, _ = known_model(codes, ("a",))
    groups = cut(codes, values)
    images = swapping.swap_matrix(subject, groups, codes[:5])
    own = subject.decode(codes[:5])
    diagonal = images[np.arange(5), np.arange(5)]
    np.testing.assert_allclose(diagonal, own, atol=1e-5)
    pairs = groups.swap(codes[[0, 1]], codes[[3, 2]])
    np.testing.assert_allclose(subject.decode(pairs), images[[0, 1], [3, 2]], atol=1e-5)
    assert np.abs(images[0, 1] - own[0]).max() > 0.1


def test_dimensions_are_cut_at_the_median_of_active_ones() -> None:
    values = np.arange(COUNT) % 4
    noise = np.random.default_rng(0).normal(size=(COUNT, 5))
    shares = np.array([0.1, 2.0, 0.0, 1.0, 50.0])
    scale = np.array([1, 1, 1, 1, 1e-3])  # the last one is not in use
    codes = scale * (noise + shares * values[:, None])
    groups = swapping.by_dimensions(codes, values)
    assert groups.is_content.tolist() == [False, True, False, True, False]
    a, b = codes[:1], codes[1:2]
    expected = np.where([False, True, False, True, False], a, b)
    np.testing.assert_allclose(groups.swap(a, b), expected)


def test_discriminants_part_what_no_dimension_does() -> None:
    codes, values = rotated()
    subject, _ = known_model(codes, ("a",))
    groups = swapping.by_discriminants(codes, values)
    assert groups.is_content.tolist() == [True, False, False]
    swapped = groups.swap(codes[:50], codes[100:150])
    for_content, for_style = np.array([0.5, 0.5, 0]), np.array([0.5, -0.5, 0])
    np.testing.assert_allclose(
        swapped @ for_content, codes[:50] @ for_content, atol=0.05
    )
    np.testing.assert_allclose(
        swapped @ for_style, codes[100:150] @ for_style, atol=0.05
    )


def test_swaps_are_scored_between_the_two_reconstructions(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    codes = random.normal(size=(COUNT, 2)) + 3 * random.choice([-1, 1], (COUNT, 2))
    section = swapping.show_swaps(*known_model(codes, ("a", "b")), tmp_path)
    results = section.results
    # Nothing is entangled, so that either way of cutting swaps all and only content.
    for name in swapping.CUTS:
        assert results[f"swap/swapped_{name}/a"] > 0.99
        assert results[f"swap/swapped_{name}/b"] > 0.99
    assert results["swap/reconstruction_of_content/a"] == 1
    assert results["swap/reconstruction_of_style/b"] == 1
    assert results["swap/reconstruction_of_content/b"] == pytest.approx(0.5, abs=0.1)
    assert words("swapping", section).count("100% of the way back in style") == 2
    assert all(path.is_file() for path in section.pictures.values())


def test_swaps_need_a_content_that_can_be_read(tmp_path: Path) -> None:
    codes = correlated_signs()
    unread = known_model(codes, ("a",), accuracy=0.5)
    assert "no labels or factors" in swapping.show_swaps(*unread, tmp_path).left_out
    conditional = known_model(
        codes, ("label", "a"), labels=np.arange(COUNT) % 2, is_conditional=True
    )
    assert "given the label" in swapping.show_swaps(*conditional, tmp_path).left_out


def test_one_class_is_no_content_to_swap(tmp_path: Path) -> None:
    subject, attributes = known_model(np.abs(CODES), ("a", "b"))
    assert "two values" in swapping.show_swaps(subject, attributes, tmp_path).left_out

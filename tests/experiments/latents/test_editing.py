"""Edits, swaps and style transfer by a decoder that is known: an image is its code, and
its attributes are the signs of the pixels."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experiments.latents import editing, style, swapping, transfer
from experiments.latents.attributes import Attributes
from experiments.latents.subject import Examples, Subject, make_subject
from experiments.program import make_program
from vae.build import build
from vae.data.splits import Split

COUNT = 400


def as_images(codes: Any) -> np.ndarray:
    return np.asarray(codes)[:, None, :, None]


def read(names: tuple[str, ...], images: np.ndarray) -> dict[str, np.ndarray]:
    return {name: (images[:, 0, i, 0] > 0).astype(int) for i, name in enumerate(names)}


def make(
    codes: np.ndarray,
    names: tuple[str, ...],
    *,
    accuracy: float = 1,
    labels: np.ndarray | None = None,
    moments: Any = None,
) -> tuple[Subject, Attributes]:
    """Both splits have the codes [N, D]. With labels the model is conditional: it adds
    ten times the label to every pixel."""

    def decode(z: Any, given: Any = None) -> np.ndarray:
        z = np.asarray(z, np.float32)
        return as_images(z if labels is None else z + 10 * np.asarray(given)[:, None])

    images = decode(codes, labels)
    examples = Examples(Split(images, labels), images, labels, None, codes)
    num_labels = None if labels is None else int(labels.max()) + 1
    subject = Subject(
        experiment=SimpleNamespace(model=SimpleNamespace(num_labels=num_labels)),
        seed=0,
        train=examples,
        test=examples,
        decode_now=decode,
        decode=decode,
        draw=lambda name, labels: codes,
        sample_train=lambda: codes,
        prior_moments=moments,
    )
    found = read(names, as_images(codes))
    accuracies = dict.fromkeys(names, 1.0) | {names[-1]: accuracy}
    probe: Any = SimpleNamespace(read=lambda images: read(names, images))
    return subject, Attributes(probe, None, accuracies, found, found)


def correlated_signs() -> np.ndarray:
    """Codes [N, 3] of which the first two are mostly of one sign, and the third has no
    part in it."""
    random = np.random.default_rng(0)
    first = random.choice([-1.0, 1.0], COUNT)
    second = 0.6 * first + random.choice([-1.0, 1.0], COUNT)
    third = np.tile([-1.0, 1.0], COUNT // 2)
    return np.stack([first, second, third], axis=1) + 0.01 * random.normal(
        size=(COUNT, 3)
    )


def test_an_edit_along_an_axis_changes_what_it_is_for(tmp_path: Path) -> None:
    codes = correlated_signs()
    subject, attributes = make(codes, ("a", "b", "c"))
    section = editing.show_edits(subject, attributes, tmp_path)
    results = section.results
    way = "edit/a_low_to_high/probe/strength_"
    means = "edit/a_low_to_high/class_means/strength_"
    assert results[f"{way}1/already"] == 0 < results[f"{way}1/reached"] == 1
    # From mean to mean the sign changes half way, at 0, where noise decides.
    assert 0 < results[f"{means}0.5/reached"] < 1 == results[f"{means}1/reached"]
    assert results[f"{way}2/kept_c"] == results[f"{means}2/kept_c"] == 1
    # The class means also go along b, which goes along with a: far enough to have it
    # everywhere. The probe does not.
    assert results[f"{way}2/kept_b"] == results[f"{way}2/kept"] == 1
    had_b = (codes[codes[:, 0] < 0, 1] > 0).mean()
    assert results[f"{means}2/kept_b"] == pytest.approx(had_b)
    assert results[f"{means}2/kept"] == (results[f"{means}2/kept_b"] + 1) / 2
    assert len(section.tables[1].rows) == 3 * 2 * len(editing.STRENGTHS)
    assert len(section.tables[0].rows) == 3
    assert all(picture.path.is_file() for picture in section.pictures)
    best, tried = (table.rows for table in section.tables)
    for row in best:  # chosen on the training images, which are the same here
        assert row in tried
        merits = [other[5] + other[6] for other in tried if other[0] == row[0]]
        assert row[5] + row[6] == max(merits)
    assert results["edit/a_low_to_high/images"] == (codes[:, 0] < 0).sum()


def test_what_the_probe_cannot_read_is_not_edited(tmp_path: Path) -> None:
    subject, attributes = make(correlated_signs(), ("a", "b"), accuracy=0.8)
    section = editing.show_edits(subject, attributes, tmp_path)
    assert {row[0] for row in section.tables[0].rows} == {"a low to high"}
    assert "b (80%)" in section.text
    assert not any("kept" in name for name in section.results)
    alone = make(correlated_signs(), ("a",), accuracy=0.8)
    assert "Left out" in editing.show_edits(*alone, tmp_path).text


def test_pairs_are_disjoint_and_the_closest() -> None:
    places = {
        0: 0.0,
        1: 1.2,
        2: 2.0,
        4: 30.0,
        5: 30.5,
        6: 70.0,
        7: 73.0,
        8: 90.0,
        9: 94,
    }
    values = np.repeat(list(places), 2)
    around = np.tile([-0.1, 0.1], len(places))
    codes = np.array([places[v] for v in values])[:, None] + around[:, None]
    # 1 is closest to 2, so that 0 is left alone; 8 and 9 would be the fourth.
    pairs = editing.closest_pairs(codes, values, np.unique(values))
    assert pairs == [(4, 5), (1, 2), (6, 7)]
    assert editing.closest_pairs(codes, values, np.array([0, 2, 9])) == [(0, 2)]
    assert editing.closest_pairs(codes, values, np.array([3])[:0]) == []


def test_the_label_of_a_conditional_model_is_given_not_edited(tmp_path: Path) -> None:
    codes = correlated_signs()
    subject, attributes = make(codes, ("label", "a"), labels=np.arange(COUNT) % 2)
    edits = editing.choose_edits(subject, attributes)
    assert [edit.attribute for edit in edits] == ["a"]
    places = np.array([3, 4])
    images = editing.apply(subject, subject.test, places, np.array([0.0, 1, 0]), 2)
    expected = codes[places] + [0, 2, 0] + [[10], [0]]
    np.testing.assert_allclose(images[:, 0, :, 0], expected, rtol=1e-6)


def test_an_edit_of_a_label_says_from_what_to_what() -> None:
    subject, attributes = make(correlated_signs(), ("label", "a"))
    names = [edit.name for edit in editing.choose_edits(subject, attributes)]
    assert names == ["label 0 to 1", "a low to high"]


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
    subject, _ = make(codes, ("a",))
    groups = cut(codes, values)
    images = swapping.swap_matrix(subject, groups, codes[:5])
    own = subject.decode(codes[:5])
    diagonal = images[np.arange(5), np.arange(5)]
    np.testing.assert_allclose(diagonal, own, atol=1e-5)
    pairs = groups.swap_pairs(codes[[0, 1]], codes[[3, 2]])
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
    np.testing.assert_allclose(groups.swap_pairs(a, b), expected)


def test_discriminants_part_what_no_dimension_does() -> None:
    codes, values = rotated()
    subject, _ = make(codes, ("a",))
    groups = swapping.by_discriminants(codes, values)
    assert groups.is_content.tolist() == [True, False, False]
    swapped = groups.swap_pairs(codes[:50], codes[100:150])
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
    section = swapping.show_swaps(*make(codes, ("a", "b")), tmp_path)
    results = section.results
    # Nothing is entangled, so that either way of cutting swaps all and only content.
    for name in swapping.CUTS:
        assert results[f"swap/swapped_{name}/a"] > 0.99
        assert results[f"swap/swapped_{name}/b"] > 0.99
    assert results["swap/reconstruction_of_content/a"] == 1
    assert results["swap/reconstruction_of_style/b"] == 1
    assert results["swap/reconstruction_of_content/b"] == pytest.approx(0.5, abs=0.1)
    assert section.text.count("100% of the way back in style") == 2
    assert [picture.path.is_file() for picture in section.pictures] == [True, True]


def test_swaps_need_a_content_that_can_be_read(tmp_path: Path) -> None:
    codes = correlated_signs()
    unread = make(codes, ("a",), accuracy=0.5)
    assert "no labels or factors" in swapping.show_swaps(*unread, tmp_path).text
    conditional = make(codes, ("label", "a"), labels=np.arange(COUNT) % 2)
    assert "given the label" in swapping.show_swaps(*conditional, tmp_path).text


def test_a_column_is_what_the_decoder_makes_of_its_label(tmp_path: Path) -> None:
    codes, labels = correlated_signs(), np.arange(COUNT) % 3
    subject, attributes = make(codes, ("label",), labels=labels)
    places, classes = np.array([7, 8]), np.array([0, 2])
    images = transfer.transfer(subject, places, classes)
    for column, label in enumerate(classes):
        alone = subject.decode(codes[places], np.array([label, label]))
        np.testing.assert_allclose(images[:, column], alone, rtol=1e-6)
    section = transfer.show_style_transfer(subject, attributes, tmp_path)
    assert section.pictures[0].path.is_file()
    unconditional = make(codes, ("label",))
    text = transfer.show_style_transfer(*unconditional, tmp_path).text
    assert "model.condition=label" in text


def test_a_style_is_the_place_in_the_prior_of_its_label() -> None:
    labels = np.arange(COUNT) % 3
    means, scales = np.array([0.0, 5, -5]), np.array([1.0, 2, 3])
    noise = np.random.default_rng(0).normal(size=(COUNT, 4))
    codes = means[labels, None] + scales[labels, None] * noise

    def moments(given: Any) -> tuple[np.ndarray, np.ndarray]:
        shape = (len(given), 4)
        return tuple(np.broadcast_to(a[given][:, None], shape) for a in (means, scales))

    subject, _ = make(codes, ("label",), labels=labels, moments=moments)
    np.testing.assert_allclose(subject.styles(subject.test), noise, atol=1e-12)
    images = transfer.transfer(subject, np.array([1]), np.arange(3))[0, :, 0, :, 0]
    expected = means[:, None] + scales[:, None] * noise[1] + 10 * np.arange(3)[:, None]
    np.testing.assert_allclose(images, expected, rtol=1e-5)


def test_styles_of_a_learned_prior(small_config) -> None:
    small_config.model.condition = "label"
    small_config.model.prior.name = "conditional_gaussian"
    experiment = build(small_config)
    state, _ = make_program(experiment).initialize(experiment)
    subject = make_subject(experiment, state)
    assert subject.prior_moments is not None
    # Draws of two labels differ by their priors only.
    standard = []
    for label in (2, 7):
        labels = np.full(6, label)
        mean, scale = subject.prior_moments(labels)
        standard.append((subject.draw("samples", labels) - mean) / scale)
    assert np.abs(mean - subject.prior_moments(np.full(6, 2))[0]).max() > 0.1
    np.testing.assert_allclose(*standard, atol=1e-5)
    codes, labels = subject.test.codes, subject.test.labels
    again = subject.decode_styles(subject.styles(subject.test), labels)
    np.testing.assert_allclose(again, subject.decode(codes, labels), atol=1e-5)


def test_correlations_are_within_groups() -> None:
    groups = np.repeat([0, 1, 2], 4)
    a = np.array([1.0, 2, 3, 4, 11, 12, 13, 14, 5, 5, 5, 5])
    b = np.array([2.0, 4, 6, 8, -1, -2, -3, -4, 1, 2, 3, 4])
    # 1 in the first group, -1 in the second, 0 in the constant one.
    assert style.correlate_within(a, b, groups) == pytest.approx(0)
    assert style.correlate_within(a[:4], b[:4], groups[:4]) == pytest.approx(1)
    assert style.correlate_within(a, b, groups // 2) == pytest.approx(
        np.corrcoef(a[:8], b[:8])[0, 1] / 2
    )

"""Edits by a decoder that is known: an image is its code, and its attributes are the
signs of the pixels."""

from pathlib import Path

import numpy as np
import pytest

from experiments.latents import editing
from tests.experiments.latents.conftest import (
    COUNT,
    correlated_signs,
    known_model,
    words,
)


def test_an_edit_along_an_axis_changes_what_it_is_for(tmp_path: Path) -> None:
    codes = correlated_signs()
    subject, attributes = known_model(codes, ("a", "b", "c"))
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
    assert all(path.is_file() for path in section.pictures.values())
    best, tried = (table.rows for table in section.tables)
    for row in best:  # chosen on the training images, which are the same here
        assert row in tried
        merits = [other[5] + other[6] for other in tried if other[0] == row[0]]
        assert row[5] + row[6] == max(merits)
    assert results["edit/a_low_to_high/images"] == (codes[:, 0] < 0).sum()


def test_what_the_probe_cannot_read_is_not_edited(tmp_path: Path) -> None:
    subject, attributes = known_model(correlated_signs(), ("a", "b"), accuracy=0.8)
    section = editing.show_edits(subject, attributes, tmp_path)
    assert {row[0] for row in section.tables[0].rows} == {"a low to high"}
    assert "b (80%)" in words("editing", section)
    assert not any("kept" in name for name in section.results)
    alone = known_model(correlated_signs(), ("a",), accuracy=0.8)
    assert "no labels or factors" in editing.show_edits(*alone, tmp_path).left_out


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
    subject, attributes = known_model(
        codes, ("label", "a"), labels=np.arange(COUNT) % 2, is_conditional=True
    )
    edits = editing.choose_edits(subject, attributes)
    assert [edit.attribute for edit in edits] == ["a"]
    places = np.array([3, 4])
    images = editing.apply(subject, subject.test, places, np.array([0.0, 1, 0]), 2)
    expected = codes[places] + [0, 2, 0] + [[10], [0]]
    np.testing.assert_allclose(images[:, 0, :, 0], expected, rtol=1e-6)


def test_an_edit_of_a_label_says_from_what_to_what() -> None:
    subject, attributes = known_model(correlated_signs(), ("label", "a"))
    names = [edit.name for edit in editing.choose_edits(subject, attributes)]
    assert names == ["label 0 to 1", "a low to high"]
    named = subject._replace(label_names=("cat", "dog"))
    titles = [edit.title for edit in editing.choose_edits(named, attributes)]
    assert titles == ["label cat to dog", "a low to high"]

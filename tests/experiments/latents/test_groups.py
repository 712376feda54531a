"""What each group of a hierarchy holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.latents import curves, generation, groups
from tests.experiments.latents.conftest import (
    CODES,
    COUNT,
    initial_model,
    known_model,
    words,
)

LADDER = {
    "model.name": "ladder",
    "model.groups": (3, 2),
    "model.group_widths": (8, 8),
}


def test_the_change_by_a_group_is_that_of_its_codes() -> None:
    """An image is its code here: three values, of which one changes, by the difference
    of two normal numbers. The mean of 800 squares errs by sqrt(2 / 800), its root by
    half of that."""
    scale = np.array([1.0, 0.1, 2.0])
    codes = scale * np.random.default_rng(1).normal(size=(COUNT, 3))
    subject, _ = known_model(codes)
    draws = scale * np.random.default_rng(2).normal(size=(800, 3))
    subject = subject._replace(draw=lambda labels: draws[: len(labels)])
    found = [groups.measure_change(subject, np.array([i])) for i in range(3)]
    expected = np.sqrt(2 * scale**2 / 3)  # over the values of an image
    np.testing.assert_allclose(found, expected, rtol=5 * np.sqrt(2 / 800) / 2)


@pytest.mark.parametrize("sizes", [(1, 2), (1, 1, 1)])
def test_the_section_names_every_group(sizes: tuple[int, ...], tmp_path: Path) -> None:
    subject, _ = known_model(CODES)
    subject = subject._replace(draw=lambda labels: np.ones((len(labels), 3)))
    experiment: Any = subject.experiment
    experiment.group_dims = sizes
    rates = [0.5 + i for i in range(len(sizes))]
    evaluated = {"latent/rate_per_group_nats": rates}
    section = groups.show_groups(subject, evaluated, tmp_path)
    (table,) = section.tables
    assert table.header == ("group", "dimensions", "change", "rate")
    assert [row[1] for row in table.rows] == [*sizes]
    assert [row[3] for row in table.rows] == rates
    assert section.pictures.keys() == {"kept", "redrawn", "moved"}
    said = words("groups", section, subject)
    assert f"The model has {len(sizes)} groups" in said


def test_pictures_change_the_groups_that_they_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two groups, of dimension 0 and of dimensions 1 and 2."""
    subject, _ = known_model(CODES)
    subject = subject._replace(draw=lambda labels: np.full((len(labels), 3), 9.0))
    experiment: Any = subject.experiment
    experiment.group_dims = (1, 2)
    saved: dict[str, np.ndarray] = {}
    monkeypatch.setattr(
        groups,
        "_save",
        lambda subject, chosen, codes, path, **words: saved.update({path.stem: codes}),
    )
    groups.show_groups(subject, {}, tmp_path)
    kept = saved["groups_kept"]  # in columns: groups 1 to 2, and 2
    assert kept[:, 0].all() and not kept[:, 1, 0].any()
    np.testing.assert_array_equal(kept[:, 1, 1:], kept[:, 0, 1:])
    redrawn = saved["groups_redrawn"]  # in rows: group 1, group 2
    np.testing.assert_array_equal(redrawn[:, 0], CODES[[0, 0]])
    assert (redrawn[0, 1:, 0] == 9).all() and (redrawn[1, 1:, 1:] == 9).all()
    assert (redrawn[0, :, 1:] == CODES[0, 1:]).all()
    assert (redrawn[1, :, 0] == CODES[0, 0]).all()
    moved = saved["groups_moved"]  # in rows: group 1, group 2, all
    start, end = moved[2, 0], moved[2, -1]
    assert (start != end).all()
    np.testing.assert_array_equal(moved[0, -1], [end[0], *start[1:]])
    np.testing.assert_array_equal(moved[1, -1], [start[0], *end[1:]])
    np.testing.assert_allclose(np.diff(moved[2], 2, axis=0), 0, atol=1e-6)


@pytest.mark.slow
def test_codes_of_a_hierarchy_are_standard_normal_under_the_prior() -> None:
    subject = initial_model(**LADDER)
    count = 4_000
    z = subject.draw(np.zeros(count, np.int32))
    assert z.shape == (count, 9) and subject.is_standard_normal
    np.testing.assert_allclose(z.mean(0), 0, atol=5 / count**0.5)
    np.testing.assert_allclose(np.cov(z.T), np.eye(9), atol=5 * (2 / count) ** 0.5)
    # What is decoded are the codes themselves, so samples are those of the prior.
    images = generation.generate(subject)
    assert {"prior, temperature 1", "prior, temperature 0.7"} < images.keys()


@pytest.mark.slow
def test_the_dimensions_of_a_hierarchy_are_traversed(tmp_path: Path) -> None:
    subject = initial_model(**LADDER)
    kl = {"latent/kl_per_dim": np.arange(9.0).tolist()}
    section = curves.show_traversals(subject, kl, tmp_path)
    assert section.facts["of_all"] == 9 and not section.left_out

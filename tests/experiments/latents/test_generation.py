"""Samples, their coverage of the data, and their neighbours."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experiments.latents import generation
from tests.experiments.latents.conftest import (
    CODES,
    COUNT,
    NOTHING,
    known_model,
    words,
)
from vae.data.splits import Split


@pytest.mark.slow
def test_a_temperature_scales_the_codes(plain) -> None:
    images = generation.generate(plain)
    count = len(plain.test.codes)
    z = plain.draw(np.zeros(count, np.int32))
    for temperature in (1, 0.7):
        np.testing.assert_allclose(
            images[f"prior, temperature {temperature:g}"],
            plain.decode(temperature * z),
            rtol=1e-5,
        )
    assert z.std() == pytest.approx(1, abs=4 / np.sqrt(2 * z.size))


def test_a_conditional_model_generates_the_labels_of_the_data(conditional) -> None:
    images = generation.generate(conditional)
    assert list(images) == ["prior, temperature 1", "prior, temperature 0.7"]
    labels = conditional.spread_labels(500)
    np.testing.assert_array_equal(np.bincount(labels), np.full(10, 50))


@pytest.mark.parametrize(("count", "is_measured"), [(5, False), (6, True)])
def test_coverage_needs_neighbours(count: int, is_measured: bool) -> None:
    few, _ = known_model(CODES[:count])
    section = generation.compare_with_data(few, NOTHING, {"prior": few.test.pixels})
    assert bool(section.results) == is_measured
    assert bool(section.left_out) != is_measured
    text = words("coverage", section)
    assert is_measured == ("6 images of each kind" in text)
    assert is_measured == ("principal components of the pixels" in text)


def test_coverage_compares_training_images_of_every_kind() -> None:
    """Those of a user may be in order of their labels, and more than test images."""
    ordered = CODES + 50.0 * (np.arange(COUNT) >= COUNT // 2)[:, None]
    subject, _ = known_model(ordered)
    some = known_model(ordered[::4])[0].test
    subject = subject._replace(test=some)
    section = generation.compare_with_data(subject, NOTHING, {"prior": some.pixels})
    assert section.results["coverage/pca-3/training_images/coverage"] > 0.9


def test_fewer_training_images_than_neighbours_fill_their_rows(tmp_path: Path) -> None:
    subject, _ = known_model(CODES[:6])
    split = Split(subject.train.pixels[:3], None)
    subject.experiment.dataset = SimpleNamespace(train=split)
    generated = {"prior": subject.test.pixels}
    section = generation.show_neighbours(subject, generated, tmp_path)
    text = words("neighbours", section)
    assert "followed by the 3 training images" in text
    assert "nearest training images (of 3)" in text


def test_samples_that_are_the_data_score_as_the_data(tmp_path: Path) -> None:
    labels = (CODES[:, 0] > 0).astype(int)
    subject, attributes = known_model(CODES, ("label",), labels=labels)
    probe: Any = SimpleNamespace(
        read=attributes.read,
        values={"label": np.array([0, 1])},
        features=lambda images: images.reshape(len(images), -1),
    )
    attributes = attributes._replace(probe=probe)
    generated = {"prior": subject.test.pixels}
    section = generation.compare_with_data(subject, attributes, generated)
    for features in ("pca-3", "lenet"):
        key = f"coverage/{features}/prior"
        assert section.results[f"{key}/precision"] == 1
        assert section.results[f"{key}/recall"] == 1
        assert section.results[f"{key}/frechet"] == pytest.approx(0, abs=1e-3)
    counts = section.results["coverage/classes/prior/counts"]
    assert counts == np.bincount(labels).tolist()
    text = words("coverage", section)
    assert "reads 100.0% of the test images correctly" in text
    assert "classes are shown" not in text
    section = generation.show_samples(subject, generated, tmp_path)
    assert section.pictures["prior"].name == "samples_prior.png"
    assert "Codes from: prior." in words("samples", section)

"""Style transfer by a decoder that is known: an image is its code and its label."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.latents import transfer
from tests.experiments.latents.conftest import (
    COUNT,
    correlated_signs,
    known_model,
    words,
)


def test_a_column_is_what_the_decoder_makes_of_its_label(tmp_path: Path) -> None:
    codes, labels = correlated_signs(), np.arange(COUNT) % 3
    subject, attributes = known_model(
        codes, ("label",), labels=labels, is_conditional=True
    )
    places, classes = np.array([7, 8]), np.array([0, 2])
    images = transfer.transfer(subject, places, classes)
    for column, label in enumerate(classes):
        alone = subject.decode(codes[places], np.array([label, label]))
        np.testing.assert_allclose(images[:, column], alone, rtol=1e-6)
    section = transfer.show_style_transfer(subject, attributes, tmp_path)
    assert section.pictures["style_transfer"].is_file()
    assert "every class in the style of test" in words("transfer", section)
    unconditional = known_model(codes, ("label",))
    text = transfer.show_style_transfer(*unconditional, tmp_path).left_out
    assert "model.condition=label" in text


def test_a_style_is_the_place_in_the_prior_of_its_label() -> None:
    labels = np.arange(COUNT) % 3
    means, scales = np.array([0.0, 5, -5]), np.array([1.0, 2, 3])
    noise = np.random.default_rng(0).normal(size=(COUNT, 4))
    codes = means[labels, None] + scales[labels, None] * noise

    def moments(given: Any) -> tuple[np.ndarray, np.ndarray]:
        shape = (len(given), 4)
        return tuple(np.broadcast_to(a[given][:, None], shape) for a in (means, scales))

    subject, _ = known_model(
        codes, ("label",), labels=labels, is_conditional=True, moments=moments
    )
    np.testing.assert_allclose(subject.styles(subject.test), noise, atol=1e-12)
    images = transfer.transfer(subject, np.array([1]), np.arange(3))[0, :, 0, :, 0]
    expected = means[:, None] + scales[:, None] * noise[1] + 10 * np.arange(3)[:, None]
    np.testing.assert_allclose(images, expected, rtol=1e-5)

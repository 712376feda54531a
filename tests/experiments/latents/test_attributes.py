"""Attributes: labels, factors, and the style of images."""

import numpy as np
import pytest

from experiments.latents import subject as subjects
from experiments.latents.attributes import correlate_within, find_attributes
from tests.experiments.latents.conftest import CODES, initial_model, known_model
from vae.evaluation import probe


@pytest.mark.slow
def test_factors_are_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "MOST_TRAIN", 1000)
    monkeypatch.setattr(subjects, "MOST_TEST", 200)
    changes = {"dataset.name": "sprites:16", "dataset.binarize": "none"}
    subject = initial_model(**changes)
    found = find_attributes(subject)
    assert list(found.train) == list(subject.experiment.data.factors.names)
    assert set(found.train["shape"]) == {0, 1, 2}
    assert set(found.train["position_x"]) == {0, 1}
    assert found.accuracy["position_x"] > 0.9
    assert found.measured is None


def test_labels_of_test_images_alone_are_no_attribute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe, "STEPS", 1)
    images = np.random.default_rng(0).uniform(size=(20, 8, 8, 1))
    examples = known_model(CODES[:20])[0].test._replace(pixels=images)
    labelled = examples._replace(labels=np.arange(20) % 2)
    subject, _ = known_model(CODES[:20])
    found = find_attributes(subject._replace(train=examples, test=labelled))
    assert found.readable == () and found.probe is None
    # Those of training images alone still train a probe, of which features are used.
    found = find_attributes(subject._replace(train=labelled, test=examples))
    assert found.readable == () and found.probe is not None


def test_correlations_are_within_groups() -> None:
    groups = np.repeat([0, 1, 2], 4)
    a = np.array([1.0, 2, 3, 4, 11, 12, 13, 14, 5, 5, 5, 5])
    b = np.array([2.0, 4, 6, 8, -1, -2, -3, -4, 1, 2, 3, 4])
    # 1 in the first group, -1 in the second, 0 in the constant one.
    assert correlate_within(a, b, groups) == pytest.approx(0)
    assert correlate_within(a[:4], b[:4], groups[:4]) == pytest.approx(1)
    assert correlate_within(a, b, groups // 2) == pytest.approx(
        np.corrcoef(a[:8], b[:8])[0, 1] / 2
    )

from typing import Any

import numpy as np
import pytest

from vae import experiment as experiments
from vae.build import build
from vae.experiment import steps_per_epoch


def test_an_epoch_visits_the_examples_that_are_kept(small_config) -> None:
    small_config.dataset.keep_labels = (3, 5)
    small_config.dataset.batch_size = 40
    built = build(small_config)
    labels = built.data.everything.train.labels
    counts = np.bincount(labels)[[3, 5]]
    assert built.dataset.train.size == counts.sum()
    assert set(built.dataset.train.labels) == {3, 5}
    # Whichever labels are kept, epochs are as long: programs are shared.
    most = np.sort(np.bincount(labels))[-2:].sum()
    assert built.steps_per_epoch == most // 40
    for labels in ((0, 1), (3, 5, 5)):
        config = built.config | {"dataset": {"keep_labels": labels, "batch_size": 40}}
        assert steps_per_epoch(config, built.data.everything) == most // 40


@pytest.mark.parametrize(
    ("pipeline", "limit", "resident"),
    [
        ("auto", 4500 * 784, True),
        ("auto", 4500 * 784 - 1, False),
        ("resident", 0, True),
        ("stream", 2**40, False),
    ],
)
def test_data_that_fit_stay_on_the_device(
    small_config: Any,
    monkeypatch: pytest.MonkeyPatch,
    pipeline: str,
    limit: int,
    resident: bool,
) -> None:
    monkeypatch.setattr(experiments, "RESIDENT_BYTES", limit)
    small_config.runtime.pipeline = pipeline
    built = build(small_config)
    assert built.data.everything.train.images.nbytes == 4500 * 784
    assert built.resident == resident


def test_a_subject_is_of_the_own_size(small_config) -> None:
    """The model is computed at a width of 16; codes of discrete positions have as many
    numbers as classes."""
    subject = build(small_config).subject
    assert (subject.latent_dim, subject.code_dim) == (4, 4)
    small_config.model.posterior.name = "relaxed_categorical"
    small_config.model.prior.name = "uniform_codes"
    small_config.model.posterior.num_classes = 5
    subject = build(small_config).subject
    assert (subject.latent_dim, subject.code_dim) == (4, 20)
    assert (subject.binarize, subject.keep_labels) == ("dynamic", ())

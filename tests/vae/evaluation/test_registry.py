"""Evaluations give what they promise."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs import default
from tests.helpers.trained import untrained
from vae.bind import parameters_of
from vae.evaluation import log_likelihood
from vae.evaluation.registry import EVALUATIONS


@pytest.fixture
def everything_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Small 2x2 bytes of two labels, and all evaluations but of factors."""
    few = {"num_steps": 10, "num_samples": 2, "evaluation_samples": 10}
    wanted = log_likelihood.OPTIMISATION | few
    monkeypatch.setattr(log_likelihood, "OPTIMISATION", wanted)
    images = np.random.default_rng(0).integers(0, 256, (60, 2, 2), np.uint8)
    labels = np.arange(60) % 2
    arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    np.savez(tmp_path / "data.npz", **arrays)
    config = default.get_config("smoke")
    config.runtime.num_devices = 1
    config.dataset.name = f"npz:{tmp_path}/data.npz"
    config.dataset.batch_size, config.dataset.validation_size = 20, 10
    config.dataset.keep_labels = (1,)
    config.model.latent_dim = 2
    config.model.encoder.widths = config.model.decoder.widths = ()
    config.evaluate.fitted_density.components = 2
    config.evaluate.anomalies.source = "other_labels"
    config.evaluate.anomalies.ppca_components = 2
    config.evaluate.ais.images, config.evaluate.ais.steps = 3, 4
    return config


@pytest.mark.slow
def test_evaluations_show_that_they_are_done(everything_on) -> None:
    asked = everything_on.evaluate.to_dict()
    trained, results = untrained(everything_on), {}
    for name, evaluation in EVALUATIONS.items():
        fields = asked.get(name, {})
        off = ("chow_liu", "disentanglement", "imputation")  # which need other data
        assert evaluation.is_on(fields) == (name not in off)
        if not evaluation.is_on(fields):
            continue
        assert evaluation.applies(trained.subject, **fields) is None, name
        found = evaluation.run(trained._replace(results=results), **fields)
        shown = evaluation.shows(trained.importance_samples, **fields)
        assert shown.keys() <= found.keys(), name
        for key, value in shown.items():
            assert value is None or found[key] == value, key
        if evaluation.replaces and name != "bounds":  # those of another K stay
            named = [key for key in found if not isinstance(found[key], np.ndarray)]
            assert all(key.startswith(evaluation.replaces) for key in named), named
        results |= found
    assert len(results) > 30


def test_switches_are_fields_that_are_off() -> None:
    asked = default.get_config().evaluate.to_dict()
    for name, evaluation in EVALUATIONS.items():
        fields = parameters_of(evaluation.run)
        assert asked.get(name, {}).keys() == fields.keys()
        assert evaluation.is_on(asked.get(name, {})) == (evaluation.switch is None)
        assert evaluation.switch is None or not fields[evaluation.switch].default

"""An experiment is what its configuration says, or an error."""

import json
from typing import Any

import jax
import numpy as np
import pytest

from vae.build import build, from_operative, operative, vary
from vae.identity import program_key
from vae.types import UserError


def test_an_operative_configuration_survives_json(small_config) -> None:
    plain = operative(small_config)
    again = json.loads(json.dumps(plain))
    assert again == plain
    assert operative(from_operative(again)) == plain


def test_the_experiment_says_what_auto_stands_for(small_config) -> None:
    experiment = build(small_config)
    expected = operative(small_config)
    expected["dataset"]["binarize"] = "dynamic"
    assert experiment.config == expected
    assert small_config.dataset.binarize == "auto"  # the user's own is left as it is
    assert {"loss", "elbo_nats", "rate_nats"} <= set(experiment.metric_names)
    assert experiment.latent_dim == 4
    assert experiment.model.posterior.latent_dim == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"objective.beta": 4.0, "seed": 3, "optimizer.learning_rate": 0.5},
        {"model.latent_dim": 7},
        {"dataset.keep_labels": (4,)},
    ],
)
def test_an_experiment_varied_is_that_built(small_config, changes: dict) -> None:
    if "dataset.keep_labels" in changes:
        small_config.dataset.keep_labels = (1,)
    base = build(small_config)
    small_config.update_from_flattened_dict(changes)
    varied, built = vary(base, small_config), build(small_config)
    assert varied.config == built.config
    assert program_key(varied.config) == program_key(base.config)
    jax.tree.map(np.testing.assert_array_equal, varied.hparams, built.hparams)
    jax.tree.map(
        np.testing.assert_array_equal, varied.dataset.train, built.dataset.train
    )
    assert varied.tx is base.tx and varied.model is base.model


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dataset.batch_size": 4600},
            r"batch_size=4600 is larger .* \(4500 examples\)",
        ),
        ({"model.latent_dim": 0}, "model.latent_dim=0 must be an integer, 1 or more"),
        ({"objective.beta": -1.0}, "objective.beta=-1.0 must be"),
        ({"evaluate.fitted_density.components": 5000}, "components=0"),
        ({"model.encoder.name": "conv_locatello"}, "model.encoder.name=conv_locatello"),
        (
            {"model.likelihood.name": "gaussian_shared", "objective.name": "vq_vae"},
            "objective.name=vq_vae needs a quantised posterior",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    small_config, changes: dict[str, Any], message: str
) -> None:
    small_config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=message):
        build(small_config)


def test_a_model_that_is_used_need_not_be_trained_or_evaluated(small_config) -> None:
    small_config.dataset.batch_size = 4600
    small_config.evaluate.fitted_density.components = 5000
    assert build(small_config, is_used=True).batch_size == 4600

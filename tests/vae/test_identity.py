"""Runs of one program, and runs that are the same."""

from typing import Any

import numpy as np
import pytest

from configs import default
from vae.bind import default_of, parameters_of
from vae.build import operative
from vae.compose import bind_menus
from vae.data.splits import Dataset, Split
from vae.identity import (
    depends_on_length,
    latent_width,
    program_key,
    traced_hparams,
)
from vae.registry import OBJECTIVES


def config_of(**changes: Any) -> dict[str, Any]:
    config = default.get_config()
    config.update_from_flattened_dict(changes)
    return operative(config)


def key_of(**changes: Any) -> str:
    return program_key(config_of(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 7},
        {"optimizer.learning_rate": 0.5},
        {"objective.beta": 4.0},
        {"model.latent_dim": 32},  # computed as wide as 20
    ],
)
def test_runs_of_one_program(changes: dict[str, Any]) -> None:
    assert key_of(**changes) == key_of()


@pytest.mark.parametrize(
    "changes",
    [
        {"model.latent_dim": 33},
        {"train.steps": 7},
        {"objective.name": "elbo"},
        {"objective.annealing": "linear"},
        {"objective.num_samples": 2},
        {"model.encoder.widths": (7,)},
        {"optimizer.b1": 0.8},
        {"dataset.keep_labels": (1,)},
    ],
)
def test_runs_of_other_programs(changes: dict[str, Any]) -> None:
    assert key_of(**changes) != key_of()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_traced_numbers_change_no_program(name: str) -> None:
    fields = parameters_of(OBJECTIVES[name])
    for field, parameter in fields.items():
        if not parameter.field.traced or parameter.field.unless is not None:
            continue
        other = default_of(parameter) / 2 or 0.75
        changed = {"objective.name": name, f"objective.{field}": other}
        assert key_of(**changed) == key_of(**{"objective.name": name}), field


def test_kept_labels_are_one_program_if_as_many_are_kept() -> None:
    kept = [{"dataset.keep_labels": labels} for labels in ((1,), (4, 4), (1, 2))]
    keys = [key_of(**changes) for changes in kept]
    assert keys[0] == keys[1] != keys[2]
    # Labels are counted by a conditional model, and examples by this objective.
    for more in ({"model.condition": "label"}, {"objective.name": "beta_tcvae"}):
        assert key_of(**kept[0], **more) != key_of(**kept[1], **more)


@pytest.mark.parametrize(
    ("posterior", "prior", "width"),
    [
        ("diagonal_gaussian", "standard_normal", 32),
        ("diagonal_gaussian", "vamp", 32),
        ("diagonal_gaussian", "realnvp", 20),
        ("full_gaussian", "standard_normal", 20),
        ("von_mises_fisher", "uniform_on_sphere", 20),
    ],
)
def test_latent_spaces_are_padded_where_both_parts_can(
    posterior: str, prior: str, width: int
) -> None:
    names = {"model.posterior.name": posterior, "model.prior.name": prior}
    config = config_of(**names)
    bound = bind_menus(config)
    assert latent_width(config, bound) == width
    images = np.zeros((6, 2, 2, 1), np.uint8)
    split = Split(images, np.arange(6) % 3)
    hparams = traced_hparams(config, bound, Dataset(split, split[:0], split))
    assert ("latent_dim" in hparams) == (width == 32)
    assert "keep_labels" not in hparams


def test_traced_numbers_are_those_of_the_objective() -> None:
    changes = {"objective.name": "capacity", "dataset.keep_labels": (0, 2)}
    config = config_of(**changes)
    split = Split(np.zeros((6, 2, 2, 1), np.uint8), np.arange(6) % 3)
    hparams = traced_hparams(
        config, bind_menus(config), Dataset(split, split[:0], split)
    )
    kept = hparams.pop("keep_labels")
    np.testing.assert_array_equal(kept, [True, False, True])
    assert {name: float(value) for name, value in hparams.items()} == {
        "annealing_steps": 10_000.0,
        "gamma": 1_000.0,
        "capacity": 25.0,
        "learning_rate": pytest.approx(1e-3),
        "latent_dim": 20,
    }


def test_a_step_depends_on_the_length_where_the_rate_does() -> None:
    schedule = "optimizer.schedule.name"
    for name, depends in (("constant", False), ("cosine", True), ("iwae", False)):
        assert depends_on_length(config_of(**{schedule: name})) == depends

"""What is offered for a word of the command line that is wrong."""

from pathlib import Path

import pytest

from experiments import hints
from tests.conftest import ROOT

FIELDS = ("seed", "dataset.name", "model.name", "model.latent_dim", "objective.beta")


@pytest.mark.parametrize(
    ("field", "offered"),
    [
        ("beta", "objective.beta"),
        ("model.beta", "objective.beta"),
        ("objective.betta", "objective.beta"),
        ("latent_dims", "model.latent_dim"),
        ("modle.latent_dim", "model.latent_dim"),
        ("mdel.name", "model.name"),
        ("sed", "seed"),
    ],
)
def test_the_nearest_field_is_offered(field: str, offered: str) -> None:
    said = hints.unknown_field(field, FIELDS)
    assert said == f"the config has no field {field}; did you mean {offered}?"


def test_nothing_is_offered_where_nothing_is_near() -> None:
    assert hints.unknown_field("zzz", FIELDS) == "the config has no field zzz"


@pytest.mark.parametrize(
    ("value", "current", "said"),
    [
        ("1e4", 5, "train.steps=1e4 must be a whole number, as in 10000"),
        (2.5e3, 5, "train.steps=2500.0 must be a whole number, as in 2500"),
        ("2.5", 5, "train.steps=2.5 must be a whole number, as in 10000"),
        ("many", 5, "train.steps=many must be a whole number, as in 10000"),
        ("inf", 5, "train.steps=inf must be a whole number, as in 10000"),
        ("high", 1.0, "train.steps=high must be a number, as in 0.5"),
        (5, "adam", "train.steps=5 is of the wrong type: it must be str, as in"),
        (5, True, "train.steps=5 is of the wrong type: it must be bool, as in"),
    ],
)
def test_the_right_form_of_a_value_is_shown(value, current, said: str) -> None:
    assert hints.wrong_type("train.steps", value, current).startswith(said)


@pytest.mark.parametrize("file", ["configs/mnist.py", "mnist_vae", "cfg/mnist_va.py"])
def test_the_nearest_config_file_is_offered(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert "; did you mean configs/mnist_vae.py?" in hints.missing_file(file)


def test_config_files_are_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nearest = ROOT / "configs" / "papers" / "iwae.py"
    assert f"did you mean {nearest}?" in hints.missing_file("papers/iwea.py")

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
        ("1e4", 5, "a whole number, as in f=10000"),
        (2.5e3, 5, "a whole number, as in f=2500"),
        ("2.5", 5, "a whole number, as in f=5"),
        ("many", 5, "a whole number, as in f=5"),
        ("inf", 5, "a whole number, as in f=5"),
        ("high", 1.0, "a number, as in f=1.0"),
        (5, "adam", "a name, as in f=adam"),
        (5, True, "true or false"),
        ("(3,4", (5, 6), "whole numbers with commas between, as in f=5,6"),
    ],
)
def test_the_right_form_of_a_value_is_shown(value, current, said: str) -> None:
    assert hints.wrong_type("f", value, current) == f"f={value} must be {said}"


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
    nearest = "did you mean configs/papers/iwae.py?"
    assert nearest in hints.missing_file("papers/iwea.py")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.py").touch()
    assert "did you mean configs/mine.py?" in hints.missing_file("mien.py")
    assert nearest in hints.missing_file("papers/iwea.py")

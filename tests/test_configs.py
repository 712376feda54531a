"""Every config file trains, evaluates and draws, on a few steps of the small digits."""

import importlib
from pathlib import Path

import pytest

from experiments import train
from experiments.workdir import read_json
from tests.conftest import ROOT

NAMES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "configs").glob("**/*.py")
    if path.stem != "__init__"
)


@pytest.mark.parametrize("name", NAMES)
def test_smoke(name: str, tmp_path: Path) -> None:
    config = importlib.import_module(name).get_config("smoke")
    config.num_devices = 1
    config.dataset.name = "mnist_5k"
    config.dataset.validation_size = 0
    config.evaluate.batch_size = 500
    train.run(config, tmp_path)
    results = read_json(tmp_path / "results.json") or {}
    assert results["train/steps"] == 20
    assert results["test/images"] == 500
    assert (tmp_path / "images" / "samples.png").exists()


TABLES = ("configs.papers.axes",)  # their rows stand in them too


@pytest.mark.parametrize(
    "name", [n for n in NAMES if ".papers." in n and n not in TABLES]
)
def test_a_paper_is_a_short_file_that_names_it(name: str) -> None:
    text = (ROOT / f"{name.replace('.', '/')}.py").read_text()
    assert len(text.splitlines()) <= 30
    assert "arXiv" in text.split('"""')[1] or "ICLR" in text.split('"""')[1]

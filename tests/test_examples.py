"""The examples run as they are printed, but for fewer steps."""

import json
import runpy
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

import vae
from experiments import train
from tests.conftest import ROOT
from tests.experiments.conftest import make_small_config, undrawn  # noqa: F401

EXAMPLES = ROOT / "examples"


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name
)
def test_scripts_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fit: Any = vae.fit
    monkeypatch.setattr(
        vae, "fit", lambda *args, **kw: fit(*args, **{**kw, "steps": 3})
    )
    runpy.run_path(str(path), run_name="__main__")
    assert "nats on the test images" in capsys.readouterr().out


def test_the_first_example_is_short() -> None:
    lines = (EXAMPLES / "train_on_your_arrays.py").read_text().splitlines()
    assert len(lines) <= 30


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_the_notebook_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train.run(make_small_config(), tmp_path / "runs/quickstart")
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    notebook = json.loads((EXAMPLES / "use_a_trained_model.ipynb").read_text())
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    said = capsys.readouterr().out
    bounds = [
        float(line.split()[2]) for line in said.splitlines() if "samples:" in line
    ]
    assert bounds == sorted(bounds), "more samples tighten the bound"
    names["plt"].close("all")

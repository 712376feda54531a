"""The examples run as they are printed, but for fewer steps."""

import json
import runpy
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

import vae
from experiments import train
from tests.conftest import ROOT
from tests.experiments.conftest import make_small_config, undrawn  # noqa: F401

EXAMPLES = ROOT / "examples"


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("[!p]*.py")), ids=lambda path: path.name
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


def test_adbench_is_split_into_normal_rows_and_all_others(tmp_path: Path) -> None:
    script = runpy.run_path(str(EXAMPLES / "prepare_adbench.py"))
    x, y = np.arange(100.0)[:, None], np.arange(100) % 10 == 0
    np.savez(tmp_path / "a.npz", X=x, y=y.astype(int))
    script["main"](tmp_path, tmp_path / "split")
    with np.load(tmp_path / "split" / "a.npz") as file:
        made = dict(file)
    assert len(made["x_train"]) == 45 and not made["y_train"].any()
    assert len(made["x_test"]) == 55 and made["y_test"].sum() == 10
    rows = np.concatenate([made["x_train"], made["x_test"]])
    np.testing.assert_array_equal(np.sort(rows, 0), x)
    np.testing.assert_array_equal(made["y_test"], made["x_test"][:, 0] % 10 == 0)


def test_half_of_the_training_values_are_removed() -> None:
    script = runpy.run_path(str(EXAMPLES / "prepare_imputation.py"))
    x = np.random.default_rng(0).normal(size=(1_000, 3))
    x[:, 1] = 7
    made = script["remove"](x)
    assert made["x_train"].shape == (800, 2) and made["x_test"].shape == (200, 2)
    is_missing = np.isnan(made["x_train"])
    assert not is_missing.all(1).any() and not np.isnan(made["x_test"]).any()
    # A quarter of the rows would have lost both values, and keep one.
    np.testing.assert_allclose(is_missing.mean(), 0.5 - 0.25 / 2, atol=0.05)


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

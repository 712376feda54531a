"""Metrics and results reach a tracker, which may fail without the run."""

import json
import math
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments import tracking
from experiments.hints import Refused
from vae.saved import read_json

CONFIG = {"seed": 0, "objective": {"name": "beta_vae", "beta": 4.0}}
RESULTS = {"train/steps": 20, "test/elbo_nats": -99.5, "collapse": "none", "x": None}


@pytest.fixture(autouse=True)
def _unchosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracking.CHOICE, "")


class StandIn(SimpleNamespace):
    """Notes what a run would send to Weights & Biases."""

    def init(self, **given: Any) -> Any:
        self.runs.append(given)
        if self.broken:
            raise RuntimeError("no network\nat all")

        def log(metrics: dict[str, float], step: int) -> None:
            self.logged.append((step, metrics))

        return SimpleNamespace(
            id="abc",
            log=log,
            summary=self.summary,
            finish=lambda: self.ended.append(1),
        )


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    module = StandIn(runs=[], logged=[], summary={}, ended=[], broken=False)
    monkeypatch.setitem(sys.modules, "wandb", module)
    tracking.choose("wandb")
    return module


def track(folder: Path) -> None:
    writer = tracking.ForwardingWriter(folder, 0, CONFIG)
    writer.write(10, {"train/loss": 3.0, "train/rate_nats": math.nan})
    writer.close()
    tracking.send_results(folder, CONFIG, RESULTS)


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_metrics_and_results_are_forwarded(tmp_path: Path, wandb: StandIn) -> None:
    track(tmp_path)
    # A run that goes on takes no step that it has: results would be dropped.
    assert wandb.logged == [(10, {"train/loss": 3.0})]
    assert wandb.summary == {"train/steps": 20, "test/elbo_nats": -99.5}
    first, second = wandb.runs
    assert first["config"] == {
        "seed": 0,
        "objective.name": "beta_vae",
        "objective.beta": 4.0,
    }
    assert (first["id"], second["id"]) == (None, "abc")  # the same run goes on
    assert len(wandb.ended) == 2
    assert lines(tmp_path) == [{"step": 10, "train/loss": 3.0, "train/rate_nats": None}]


def test_a_tracker_that_fails_stops_no_run(
    tmp_path: Path, wandb: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb.broken = True
    track(tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert said == ["warning: no longer sent to wandb: no network"] * 2
    assert [line["step"] for line in lines(tmp_path)] == [10]


def test_without_a_tracker_nothing_is_forwarded(tmp_path: Path) -> None:
    track(tmp_path)
    assert not (tmp_path / "tracker.json").exists()
    assert [line["step"] for line in lines(tmp_path)] == [10]


def test_a_tracker_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(Refused, match="--tracker=mlflow needs mlflow: pip install"):
        tracking.choose("mlflow")
    assert not os.environ[tracking.CHOICE]


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_keeps_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    tracking.choose("mlflow")
    track(tmp_path)
    name = read_json(tmp_path / "tracker.json")["mlflow"]
    run = mlflow.MlflowClient().get_run(name)
    assert run.data.metrics["test/elbo_nats"] == -99.5
    assert run.data.params["objective.beta"] == "4.0"
    (loss,) = mlflow.MlflowClient().get_metric_history(name, "train/loss")
    assert (loss.step, loss.value) == (10, 3.0)


def test_wandb_keeps_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracking.choose("wandb")
    track(tmp_path)
    kept = [path.stem for path in (tmp_path / "wandb").glob("*/run-*.wandb")]
    assert {*kept} == {f"run-{read_json(tmp_path / 'tracker.json')['wandb']}"}

"""Forwards the metrics and the results of runs to Weights & Biases or to MLflow.

A run keeps in `tracker.json` the name that the tracker gave it, under which a resumed
run and a new evaluation go on. The trackers' own variables (WANDB_MODE,
MLFLOW_TRACKING_URI, ...) say where they are.
"""

import importlib
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.hints import Refused
from experiments.terminal import say
from experiments.workdir import write_json
from vae.renamed import flatten
from vae.saved import read_json
from vae.training.metrics import MetricWriter

CHOICE = "VAE_TRACKER"  # the variable that hands it on to the processes of a sweep
PROJECT = "vae"
Send = Callable[[int, dict[str, float]], Any]  # of numbers at a step


def choose(name: str) -> None:
    """Sends what this process and its workers train or evaluate to a tracker.

    Raises:
      Refused: it is not installed.
    """
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise Refused(f"--tracker={name} needs {name}: pip install {name}") from error
    os.environ[CHOICE] = name


class ForwardingWriter(MetricWriter):
    """Writes a run's metrics, and forwards them if a tracker is chosen."""

    def __init__(self, folder: Path, resumed_step: int, config: Mapping[str, Any]):
        super().__init__(folder, resumed_step)
        self._tracker = _Tracker(folder, config)

    def write(self, step: int, metrics: dict[str, float]) -> None:
        super().write(step, metrics)
        self._tracker.log(step, metrics)

    def close(self) -> None:
        super().close()
        self._tracker.finish()


def send_results(
    folder: Path, config: Mapping[str, Any], results: Mapping[str, Any]
) -> None:
    """Sends the numbers among a run's results, if a tracker is chosen."""
    tracker = _Tracker(folder, config)
    tracker.conclude(results["train/steps"], results)
    tracker.finish()


class _Tracker:
    """The chosen tracker, if any. Its first failure is said and ends the forwarding,
    but not the run."""

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        self._log: Send | None = None
        self._conclude: Send | None = None
        self._end: Callable[[], Any] = lambda: None
        if choice := os.environ.get(CHOICE):
            self._attempt(lambda: self._open(choice, folder, flatten(dict(config))))

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._send(self._log, step, metrics)

    def conclude(self, step: int, results: Mapping[str, Any]) -> None:
        self._send(self._conclude, step, results)

    def _send(self, send: Send | None, step: int, values: Mapping[str, Any]) -> None:
        if send is not None:
            finite = {name: v for name, v in values.items() if _is_finite(v)}
            self._attempt(lambda: send(step, finite))

    def finish(self) -> None:
        self._attempt(self._end)

    def _attempt(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception as error:  # whatever another's service raises
            lines = str(error).splitlines() or [type(error).__name__]
            say(f"warning: no longer sent to {os.environ[CHOICE]}: {lines[0]}")
            self._log = self._conclude = None
            self._end = lambda: None

    def _open(self, choice: str, folder: Path, config: dict[str, Any]) -> None:
        names = read_json(folder / "tracker.json") or {}
        start = {"wandb": _start_wandb, "mlflow": _start_mlflow}[choice]
        started = start(folder, config, names.get(choice))
        name, self._log, self._conclude, self._end = started
        write_json(folder / "tracker.json", {**names, choice: name})


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


# The run's name in the tracker; what logs metrics, sends results and ends the run.
Started = tuple[str, Send, Send, Callable[[], Any]]


def _start_wandb(folder: Path, config: dict[str, Any], name: str | None) -> Started:
    run = importlib.import_module("wandb").init(
        project=PROJECT,
        name=folder.name,
        id=name,
        resume="allow",
        reinit="create_new",  # members of a sweep are trained side by side
        config=config,
        dir=str(folder),
        settings={"silent": True, "console": "off"},
    )

    def conclude(step: int, results: dict[str, float]) -> None:
        del step  # the last one is logged already, and no step can be logged again
        run.summary.update(results)

    def log(step: int, metrics: dict[str, float]) -> None:
        run.log(metrics, step=step)

    return run.id, log, conclude, run.finish


def _start_mlflow(folder: Path, config: dict[str, Any], name: str | None) -> Started:
    client = importlib.import_module("mlflow").MlflowClient()
    entities = importlib.import_module("mlflow.entities")
    run = name or _create_mlflow_run(client, folder.name)
    if name is None:
        params = [entities.Param(field, str(value)) for field, value in config.items()]
        client.log_batch(run, params=params)

    def log(step: int, metrics: dict[str, float]) -> None:
        now = int(time.time() * 1000)  # milliseconds
        given = [entities.Metric(key, v, now, step) for key, v in metrics.items()]
        client.log_batch(run, metrics=given)

    return run, log, log, lambda: client.set_terminated(run)


def _create_mlflow_run(client: Any, name: str) -> str:
    project = client.get_experiment_by_name(PROJECT)
    place = project.experiment_id if project else client.create_experiment(PROJECT)
    return client.create_run(place, run_name=name).info.run_id

"""Launches that `benchmarks.gpu` times, and how much it measures."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import workdir

ROOT = Path(__file__).parents[1]
SWEEP = ("objective.beta=1,2,4", "model.latent_dim=2,5,10,16", "seed=0,1")  # 24 runs


class Scale(NamedTuple):
    """How much is measured."""

    rounds: int
    seconds: float  # of one timing
    most: int  # runs of a population
    steps: int  # of a launch
    changes: dict[str, Any]  # of every config
    sweep: tuple[str, ...]
    mode: str  # of the config that is launched


FULL = Scale(3, 1.0, 256, 5_000, {}, SWEEP, "")
SMOKE = Scale(
    rounds=1,
    seconds=0.05,
    most=2,
    steps=20,
    changes={"dataset.name": "mnist_5k", "dataset.validation_size": 0},
    sweep=("objective.beta=1,4", "seed=0,1"),
    mode=":smoke",
)


def launches(scale: Scale) -> dict[str, Any]:
    """Seconds of a cold and of a warm start of the quickstart; and whether a second
    launch, and one that was stopped and launched again, give the same numbers."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        seconds = {}
        for name in ("cold", "warm"):
            start = time.monotonic()
            _launch(place / name, place / "cache", scale)
            total = time.monotonic() - start
            trained = workdir.read_results(place / name)["train/seconds"]
            seconds[name] = {"seconds": total, "of training": trained}
        stopped = _launch(place / "stopped", place / "cache", scale, stop_early=True)
        _launch(place / "stopped", place / "cache", scale)
        first = _numbers(place / "cold")
        return seconds | {
            "second launch is equal": _numbers(place / "warm") == first,
            "stopped before its end": stopped,
            "stopped and resumed is equal": _numbers(place / "stopped") == first,
        }


def sweep(scale: Scale) -> dict[str, Any]:
    """Seconds of a sweep by each executor, and how far their ELBOs lie apart."""
    found, elbos = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for executor in ("vmap", "map"):
            place = Path(folder) / executor
            fields = [f"--sweep={field}" for field in scale.sweep]
            flags = ("--experiment=sweep", f"--executor={executor}", *fields)
            start = time.monotonic()
            _launch(place, Path(folder) / "cache", scale, *flags)
            found[f"{executor}, seconds"] = time.monotonic() - start
            elbos[executor] = {
                member.name: workdir.read_results(member)["test/elbo_nats"]
                for member in place.glob("members/*")
            }
    differences = [elbos["vmap"][name] - elbo for name, elbo in elbos["map"].items()]
    return found | {
        "runs": len(differences),
        "mean difference, nats": float(np.mean(differences)),
        "largest difference, nats": float(np.max(np.abs(differences))),
    }


def _launch(
    folder: Path, cache: Path, scale: Scale, *flags: str, stop_early: bool = False
) -> bool:
    """Launches the quickstart; says whether it was stopped before its end."""
    command = [
        sys.executable,
        str(ROOT / "launch.py"),
        f"--config={ROOT}/configs/quickstart.py{scale.mode}",
        f"--config.train.steps={scale.steps}",
        "--config.runtime.steps_per_call=10",
        f"--workdir={folder}",
        *flags,
    ]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL
    ) as process:
        while stop_early and process.poll() is None:
            if (folder / "metrics.jsonl").exists():
                process.send_signal(signal.SIGTERM)
                break
            time.sleep(0.01)
        status = process.wait()
    if status not in (0, 130):
        raise RuntimeError(f"a launch ended with status {status}")
    return status == 130


def _numbers(folder: Path) -> dict[str, Any]:
    """Returns the results, but for times and memory."""
    results = workdir.read_results(folder)
    return {k: v for k, v in results.items() if not k.startswith("train/")}

"""Times this project against PyTorch, Pythae and Flax's example, side by side.

A config file that has workloads beside its `get_config` describes them by

    def workloads() -> list:
        return [{"name": ..., "measure": "train", "overrides": {}}]

where the overrides change the file's config, and what is measured is "train" (steps of
one run), "sweep" (steps of several, together) or "nll" (images whose
importance-weighted bound is computed).
"""

import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import workdir
from experiments.benchmark import convolutions, flops, ours, table
from experiments.benchmark.timing import Contestant, measure
from experiments.cells import override
from experiments.terminal import say
from vae.build import Config, Experiment, build
from vae.types import UserError

MEASURES = {"train": "steps/s", "sweep": "member-steps/s", "nll": "images/s"}


def run(
    config: Config, workloads: Callable[[], list[dict[str, Any]]], folder: Path
) -> None:
    """Measures every workload, then writes `table.md` and `table.json`.

    Raises:
      UserError: what is compared with is not installed or cannot do a workload.
    """
    _check_installed()
    plan = _checked(workloads())
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "about": _about(config),
        "peak_gflops": _peak_gflops(),
        "workloads": [],
        "convolutions": [],
    }
    for workload in plan:
        say(f"timing {workload['name']}")
        results["workloads"].append(_measure(config, workload))
        workdir.write_json(folder / "table.json", results)
        jax.clear_caches()
    say("timing convolutions")
    results["convolutions"] = convolutions.measure_layers()
    workdir.write_json(folder / "table.json", results)
    (folder / "table.md").write_text(table.as_markdown(results))
    say(f"written to {folder}/table.md")


def _peak_gflops() -> dict[str, float]:
    """Returns the most that products of large matrices reach, in GFLOP/s."""
    from experiments.benchmark import pytorch

    peak = {"jax": 0.0, "torch": 0.0}
    for side in (1024, 2048, 4096):
        entries = [ours.products(side), pytorch.products(side)]
        for entry, rates in zip(entries, measure(entries, seconds=1.0), strict=True):
            peak[entry.name] = max(peak[entry.name], 2e-9 * side**3 * max(rates))
    return peak


def _measure(config: Config, workload: dict[str, Any]) -> dict[str, Any]:
    config = override(config, workload["overrides"])
    experiment = build(config)
    kind = workload["measure"]
    contestants = {"train": _training, "sweep": _sweep, "nll": _bound}[kind]
    entries = contestants(config, experiment)
    rates = measure(entries)
    of_one = flops.of_bound(config) if kind == "nll" else flops.of_step(config)
    return {
        "name": workload["name"],
        "unit": MEASURES[kind],
        "gflop": of_one / 1e9,
        "rates": {entry.name: rate for entry, rate in zip(entries, rates, strict=True)},
    }


def _training(config: Config, experiment: Experiment) -> list[Contestant]:
    from experiments.benchmark import flax_example, pythae_trainer, pytorch

    images = _images(experiment)
    binary = (images > 127).astype(np.uint8)
    entries = [
        ours.training(experiment),
        pytorch.training(config, images, compiled=False),
        pytorch.training(config, images, compiled=True),
        pythae_trainer.training(config, binary),
    ]
    if config.model.encoder.name == "mlp":  # the example has no convolutions
        entries.append(flax_example.training(config, binary))
    return entries


def _sweep(config: Config, experiment: Experiment) -> list[Contestant]:
    from experiments.benchmark import pytorch

    images = _images(experiment)
    return [
        *ours.sweep(config),
        ours.training(experiment)._replace(name="ours, one after the other"),
        pytorch.training(config, images, compiled=False),
        pytorch.training(config, images, compiled=True),
    ]


def _bound(config: Config, experiment: Experiment) -> list[Contestant]:
    from experiments.benchmark import pythae_trainer, pytorch

    binary = (_images(experiment) > 127).astype(np.uint8)
    return [
        ours.likelihood_bound(experiment),
        pytorch.likelihood_bound(config, binary),
        pythae_trainer.likelihood_bound(config, binary),
    ]


def _images(experiment: Experiment) -> np.ndarray:
    """Returns training images [N, H, W, C] as bytes; sprites are drawn."""
    return np.array(experiment.dataset.train.images)


def _checked(plan: Any) -> list[dict[str, Any]]:
    form = '[{"name": ..., "measure": "train", "overrides": {}}]'
    keys = {"name", "measure", "overrides"}
    for workload in plan:
        if not isinstance(workload, dict) or set(workload) != keys:
            raise UserError(f"workloads() must return {form}, not {workload}")
        if workload["measure"] not in MEASURES:
            raise UserError(
                f"the measure of {workload['name']} must be one of "
                f"{', '.join(MEASURES)}, not {workload['measure']!r}"
            )
    return plan


def _check_installed() -> None:
    for package in ("torch", "pythae"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError as error:
            raise UserError(
                f"--experiment=benchmark compares with {package}, which is not "
                "installed: pip install -r requirements-benchmark.txt"
            ) from error


def _about(config: Config) -> dict[str, Any]:
    about = workdir.describe_launch(config)
    others = {name: metadata.version(name) for name in ("torch", "pythae")}
    about["packages"] |= others
    return about | {"processor": _processor(), "cores": os.cpu_count()}


def _processor() -> str:
    """Returns the name that the processor gives itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else "unknown"

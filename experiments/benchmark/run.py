"""Times this project against PyTorch, Pythae and Flax's example, side by side.

A config file that has workloads beside its `get_config` describes them by

    def workloads() -> list:
        return [{"name": ..., "measure": "train", "overrides": {}}]

where the overrides change the file's config, and what is measured is "train" (steps of
one run), "sweep" (steps of several, together) or "nll" (images whose
importance-weighted bound is computed).
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from experiments import workdir
from experiments.benchmark import convolutions, flops, ours, table
from experiments.benchmark.isolation import Isolated
from experiments.benchmark.timing import measure
from experiments.cells import override
from experiments.terminal import say
from vae.build import Config, build
from vae.types import UserError

Maker = tuple[Any, ...]  # what returns a Contestant, and its arguments

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
    say("timing convolutions")
    results["convolutions"] = convolutions.measure_layers()
    workdir.write_json(folder / "table.json", results)
    (folder / "table.md").write_text(table.as_markdown(results))
    say(f"written to {folder}/table.md")


def _peak_gflops() -> dict[str, float]:
    """Returns the most that products of large matrices reach, in GFLOP/s."""
    from experiments.benchmark import pytorch

    peak: dict[str, float] = {}
    for side in (1024, 2048, 4096):
        makers = [(ours.products, side), (pytorch.products, side)]
        for name, rates in _race(makers, seconds=1.0).items():
            gflops = 2e-9 * side**3 * max(rates)
            peak[name] = max(gflops, peak.get(name, 0.0))
    return peak


def _measure(config: Config, workload: dict[str, Any]) -> dict[str, Any]:
    config = override(config, workload["overrides"])
    kind = workload["measure"]
    makers = {"train": _training, "sweep": _sweep, "nll": _bound}[kind](config)
    of_one = flops.of_bound(config) if kind == "nll" else flops.of_step(config)
    return {
        "name": workload["name"],
        "unit": MEASURES[kind],
        "gflop": of_one / 1e9,
        "rates": _race(makers),
    }


def _race(makers: Sequence[Maker], **how: Any) -> dict[str, list[float]]:
    """Returns the rates of what the makers make, each in a process of its own."""
    with contextlib.ExitStack() as stack:
        entries = [stack.enter_context(Isolated(*maker)).contestant for maker in makers]
        rates = measure(entries, **how)
    return {entry.name: rate for entry, rate in zip(entries, rates, strict=True)}


def _training(config: Config) -> list[Maker]:
    from experiments.benchmark import flax_example, pythae_trainer, pytorch

    images, binary = _images(config)
    makers: list[Maker] = [
        (ours.training, config, "ours"),
        (pytorch.training, config, images, False),
        (pytorch.training, config, images, True),
        (pythae_trainer.training, config, binary),
    ]
    if config.model.encoder.name == "mlp":  # the example has no convolutions
        makers.append((flax_example.training, config, binary))
    return makers


def _sweep(config: Config) -> list[Maker]:
    from experiments.benchmark import pytorch

    images, _ = _images(config)
    return [
        (ours.together, config),
        (ours.in_turn, config),
        (ours.training, config, "ours, one after the other"),
        (pytorch.training, config, images, False),
        (pytorch.training, config, images, True),
    ]


def _bound(config: Config) -> list[Maker]:
    from experiments.benchmark import pythae_trainer, pytorch

    _, binary = _images(config)
    return [
        (ours.likelihood_bound, config),
        (pytorch.likelihood_bound, config, binary),
        (pythae_trainer.likelihood_bound, config, binary),
    ]


def _images(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Returns training images [N, H, W, C] as bytes, and as zeros and ones; sprites are
    drawn."""
    images = np.array(build(config).dataset.train.images)
    return images, (images > 127).astype(np.uint8)


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
    return about | {"processor": workdir.processor(), "cores": os.cpu_count()}

"""Times this project against PyTorch, Pythae and Flax's example, side by side.

A config file that has workloads beside its `get_config` describes them by

    def workloads() -> list:
        return [{"name": ..., "measure": "train", "overrides": {}}]

where the overrides change the file's config, and what is measured is "train" (steps of
one run), "sweep" (steps of several, together) or "nll" (images whose
importance-weighted bound is computed).
"""

import contextlib
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import flops, layers, ours, table
from benchmarks.isolation import Isolated
from benchmarks.timing import AT_ONCE, Contestant, measure
from experiments import origin, workdir
from experiments.cells import override
from experiments.terminal import say
from vae.build import Config, build, operative
from vae.types import UserError


class Maker(NamedTuple):
    """What makes a contestant, in processes of its own."""

    make: Callable[..., Contestant]
    arguments: tuple[Any, ...]
    copies: int = 1  # that work side by side


MEASURES = {"train": "steps/s", "sweep": "member-steps/s", "nll": "images/s"}
CORES = origin.cores()
# What the other libraries' models are written for.
COMPARABLE: dict[str, tuple[Any, ...]] = {
    "precision": ("float32",),
    "matmul_precision": ("default",),
    "dataset.flip": ("none",),
    "model.name": ("vae",),
    "model.encoder.normalization": ("none",),
    "model.decoder.normalization": ("none",),
    "optimizer.weight_decay": (0.0,),
    "optimizer.ema_decay": (0.0,),
    "optimizer.skip_norm": (0.0,),
    "dataset.binarize": ("auto", "dynamic", "none"),  # auto is dynamic for Bernoulli
    "model.condition": ("none",),
    "model.encoder.name": ("mlp", "conv_locatello"),
    "model.encoder.activation": ("relu", "tanh"),
    "model.initializer": ("glorot_uniform",),
    "model.posterior.name": ("diagonal_gaussian",),
    "model.posterior.scale": ("exp",),
    "model.prior.name": ("standard_normal",),
    "model.likelihood.name": ("bernoulli",),
    "objective.name": ("elbo", "beta_vae"),
    "objective.beta": (1.0,),
    "objective.annealing": ("constant",),
    "objective.num_samples": (1,),
    "optimizer.name": ("adam",),
    "optimizer.b1": (0.9,),
    "optimizer.b2": (0.999,),
    "optimizer.clip_norm": (0.0,),
}


def run(
    config: Config, workloads: Callable[[], list[dict[str, Any]]], folder: Path
) -> None:
    """Measures every workload, then writes `table.md` and `table.json`.

    Raises:
      UserError: what is compared with is not installed or cannot do a workload.
    """
    _check_installed()
    plan = _checked(workloads())
    for workload in plan:
        check_comparable(override(config, workload["overrides"]), workload["name"])
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
    say("timing convolutions")
    results["convolutions"] = layers.measure_layers()
    # Only now, and together: a table that is there stays whole until it is replaced.
    workdir.write_json(folder / "table.json", results)
    workdir.write_text(folder / "table.md", table.as_markdown(results))
    say(f"written to {folder}/table.md")


def _peak_gflops() -> dict[str, float]:
    """Returns the most that products of large matrices reach, in GFLOP/s."""
    from benchmarks import pytorch

    peak: dict[str, float] = {}
    for side in (1024, 2048, 4096):
        makers = [Maker(ours.products, (side,)), Maker(pytorch.products, (side, CORES))]
        for name, rates in race(makers, seconds=1.0).items():
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
        "rates": race(makers),
    }


def race(makers: Sequence[Maker], **how: Any) -> dict[str, list[float]]:
    """Returns the rates of what the makers make, each in a process of its own."""
    with contextlib.ExitStack() as stack:
        entries = [
            stack.enter_context(
                Isolated(maker.make, *maker.arguments, copies=maker.copies)
            ).contestant
            for maker in makers
        ]
        rates = measure(entries, **how)
    return {entry.name: rate for entry, rate in zip(entries, rates, strict=True)}


def _training(config: Config) -> list[Maker]:
    from benchmarks import flax_example, pythae_trainer, pytorch

    images, binary = images_of(config)
    makers = [
        Maker(ours.training, (config, "ours")),
        *_of_pytorch(pytorch.training, config, images),
        Maker(pythae_trainer.training, (config, binary, CORES)),
    ]
    if config.model.encoder.name == "mlp":  # the example has no convolutions
        makers.append(Maker(flax_example.training, (config, binary)))
    return makers


def _sweep(config: Config) -> list[Maker]:
    from benchmarks import pytorch

    images, _ = images_of(config)
    side_by_side = (config, images, "PyTorch, eager, a process on each core", 1, False)
    return [
        Maker(ours.in_turn, (config,)),
        Maker(ours.together, (config,)),
        Maker(ours.training, (config, "ours, one after the other")),
        Maker(pytorch.training, side_by_side, copies=CORES),
        *_of_pytorch(pytorch.training, config, images),
    ]


def _bound(config: Config) -> list[Maker]:
    from benchmarks import pythae_trainer, pytorch

    _, binary = images_of(config)
    return [
        Maker(ours.likelihood_bound, (config,)),
        *_of_pytorch(pytorch.likelihood_bound, config, binary),
        Maker(pythae_trainer.likelihood_bound, (config, binary, CORES)),
    ]


def _of_pytorch(
    make: Callable[..., Contestant], config: Config, images: np.ndarray
) -> list[Maker]:
    """Returns PyTorch's two ways to do the same."""
    return [
        Maker(make, (config, images, f"PyTorch, {way}", CORES, way == "compiled"))
        for way in ("eager", "compiled")
    ]


def images_of(config: Config) -> tuple[np.ndarray, np.ndarray]:
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


def check_comparable(config: Config, name: str) -> None:
    """Refuses a workload that is not the same in all that is compared.

    Raises:
      UserError: a field has a value that the others do not have.
    """
    fields = workdir.flatten(operative(config))
    for field, values in COMPARABLE.items():
        if fields[field] not in values:
            raise UserError(
                f"the workload {name} has {field}={fields[field]}, which is not "
                f"written in PyTorch: choose {' or '.join(map(str, values))}"
            )
    for field in ("name", "widths", "activation"):
        if fields[f"model.encoder.{field}"] != fields[f"model.decoder.{field}"]:
            raise UserError(
                f"the workload {name} has another model.decoder.{field} than the "
                "encoder's: PyTorch's are built alike"
            )
    samples = config.evaluate.bounds.importance_samples
    if samples > AT_ONCE and samples % AT_ONCE:
        raise UserError(
            f"the workload {name} has evaluate.bounds.importance_samples={samples}: "
            f"Pythae takes samples by {AT_ONCE} at once: choose a multiple, or fewer"
        )


def _check_installed() -> None:
    for package in ("torch", "pythae"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError as error:
            raise UserError(
                f"--experiment=benchmark compares with {package}, which is not "
                "installed: pip install torch pythae"
            ) from error


def _about(config: Config) -> dict[str, Any]:
    about = origin.describe_launch(config)
    others = {name: metadata.version(name) for name in ("torch", "pythae")}
    about["packages"] |= others
    return about | {"processor": origin.processor(), "cores": CORES}

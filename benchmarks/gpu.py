"""What `benchmarks/gpu.sh` measures, each row in processes of its own.

A row that fails is noted with its error; the others go on. What is measured is written
after each row. Compiled programs are deterministic, as those of launches.
"""

import argparse
import functools
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import flops, ours
from benchmarks.launches import FULL, ROOT, SMOKE, Scale, launches, sweep
from benchmarks.run import CORES, Maker, images_of, race
from configs import default, mnist_vae, top_down
from experiments import environment, origin, workdir
from experiments.cells import override
from experiments.terminal import say
from vae.build import Config

RESULTS = ROOT / "benchmarks" / "results" / "gpu.json"
MLP = {"dataset.name": "mnist_5k"}
WIDE = {
    "dataset.batch_size": 128,
    "model.latent_dim": 32,
    **{f"model.{part}.widths": (512, 512) for part in ("encoder", "decoder")},
    **{f"model.{part}.activation": "relu" for part in ("encoder", "decoder")},
}
SPRITES = {
    "dataset.name": "sprites",
    "dataset.validation_size": 735_232 - 60_000,
    "dataset.binarize": "none",
    "model.latent_dim": 10,
    **{f"model.{part}.name": "conv_locatello" for part in ("encoder", "decoder")},
}
ROWS: dict[str, dict[str, Any]] = {
    "MLP 200, batch 20": {**MLP, "dataset.batch_size": 20},
    "MLP 200, batch 100": {**MLP, "dataset.batch_size": 100},
    "MLP 512, batch 128": {**MLP, **WIDE},
    "convolutions 64x64, batch 64": {**SPRITES, "dataset.batch_size": 64},
    "convolutions 64x64, batch 256": {**SPRITES, "dataset.batch_size": 256},
}
POPULATIONS = {
    "MLP 200, batch 100": (1, 2, 4, 8, 16, 32, 64, 128, 256),
    "convolutions 64x64, batch 64": (1, 2, 4, 8, 16, 32),
}


# What is measured, and what measures it.
Row = tuple[str, Callable[[], Any]]


def main() -> None:
    environment.set_deterministic(True)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="every part, briefly")
    parser.add_argument("--part", action="append", choices=PARTS, help="only these")
    parser.add_argument("--out", type=Path, help=f"(default: {RESULTS})")
    flags = parser.parse_args()
    scale = SMOKE if flags.smoke else FULL
    out = flags.out or (
        Path(tempfile.mkdtemp()) / "gpu.json" if flags.smoke else RESULTS
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    measured: dict[str, Any] = {"about": _about(), "failed": {}}
    for name in flags.part or PARTS:
        measured[name] = {}
        for row, measure in _rows(PARTS[name], scale):
            start = time.monotonic()
            try:
                measured[name][row] = measure()
            except Exception as error:
                measured["failed"][f"{name}, {row}"] = _describe(error)
                traceback.print_exc()
            say(f"{name}, {row}: {time.monotonic() - start:.0f} s")
            workdir.write_json(out, measured)
    say(json.dumps(measured, indent=1))
    say(f"written to {out}")
    sys.exit(bool(measured["failed"]))


def _rows(part: Callable[[Scale], Iterator[Row]], scale: Scale) -> Iterator[Row]:
    """Yields the rows of a part; an error in between is that of a row of its own."""
    try:
        yield from part(scale)
    except Exception as error:
        yield "rows", functools.partial(_raise, error)


def _raise(error: Exception) -> None:
    raise error


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def alone(scale: Scale) -> Iterator[Row]:
    """Steps per second of one run, here and in PyTorch: the best round of each."""
    for name, config in _configs(scale):
        makers = [Maker(ours.training, (config, "ours"))]
        if name in POPULATIONS:
            named = config, "ours, nondeterministic"
            makers.append(Maker(ours.training_nondeterministic, named))
        if config.model.encoder.name != "mlp":
            lax = {f"model.{p}.convolution": "lax" for p in ("encoder", "decoder")}
            makers.append(Maker(ours.training, (override(config, lax), "ours, lax")))
        yield name, functools.partial(_beside_pytorch, config, makers, scale)


def _beside_pytorch(config: Config, makers: list[Maker], scale: Scale) -> Any:
    """Returns the best rounds of ours and of PyTorch; if that fails, of ours alone."""
    try:
        return _best([*makers, *_of_pytorch(config)], scale)
    except Exception as error:
        return _best(makers, scale) | {"PyTorch failed": _describe(error)}


def populations(scale: Scale) -> Iterator[Row]:
    """Run-steps per second of populations on one device, and their share of what memory
    and products allow; see `_least_seconds`."""
    peaks = peak(scale)
    for name, config in _configs(scale):
        for size in POPULATIONS.get(name, ()):
            if size <= scale.most:
                measure = functools.partial(_population, config, size, scale, peaks)
                yield f"{name}, runs: {size}", measure


def _population(
    config: Config, size: int, scale: Scale, peaks: dict[str, float]
) -> dict[str, float]:
    (rate,) = _best([Maker(ours.together, (config, size, 1))], scale).values()
    share = rate * _least_seconds(config, peaks)
    return {"run-steps/s": rate, "share of roofline": share}


def deep(scale: Scale) -> dict[str, dict[str, float]]:
    """Steps per second of a very deep VAE of random colours, and their share of what
    memory and products allow; see `_least_seconds`."""
    with tempfile.TemporaryDirectory() as folder:
        x = np.random.default_rng(0).integers(0, 256, (4_000, 32, 32, 3), np.uint8)
        np.savez(Path(folder) / "colours.npz", x_train=x, x_test=x[:100])
        config = top_down.get_config(scale.mode.removeprefix(":"))
        changes = {
            "dataset.name": f"npz:{folder}/colours.npz",
            "precision": "bfloat16",
            "runtime.num_devices": 1,
        }
        config = override(config, changes)
        groups = len(flops.describe(config)[0].group_dims)
        (rate,) = _best([Maker(ours.training, (config, "ours"))], scale).values()
        share = rate * _least_seconds(config, peak(scale))
    name = f"top_down, {groups} groups, 32x32x3, bfloat16"
    return {name: {"steps/s": rate, "share of roofline": share}}


def peak(scale: Scale) -> dict[str, float]:
    """What copies and products of large matrices reach."""
    side = 8192 if scale is FULL else 256
    found = {}
    for dtype in ("float32", "bfloat16"):
        (rate,) = _best([Maker(ours.products, (side, dtype))], scale).values()
        found[f"{dtype} products, FLOP/s"] = 2 * side**3 * rate
    (rate,) = _best([Maker(ours.copies, (side // 8,))], scale).values()
    return found | {"copies, bytes/s": rate}


def _only(name: str, measure: Callable[[Scale], Any]) -> Callable[..., Iterator[Row]]:
    """Returns a part of one row."""
    return lambda scale: iter([(name, functools.partial(measure, scale))])


PARTS: dict[str, Callable[[Scale], Iterator[Row]]] = {
    "launches": _only("quickstart", launches),
    "sweep": _only("quickstart", sweep),
    "alone": alone,
    "populations": populations,
    "deep": _only("top_down", deep),
    "peak": _only("large arrays", peak),
}


def _about() -> dict[str, Any]:
    about = origin.describe_launch({"precision": "float32"})
    about["processor"] = origin.processor()
    if shutil.which("nvidia-smi"):
        query = [
            "nvidia-smi",
            "--query-gpu=name,driver_version",
            "--format=csv,noheader",
        ]
        about["gpu"] = subprocess.run(
            query, capture_output=True, text=True, check=False
        ).stdout.strip()
    return about


def _configs(scale: Scale) -> Iterator[tuple[str, Config]]:
    for name, changes in ROWS.items():
        is_mlp = "MLP" in name
        config = mnist_vae.get_config("") if is_mlp else default.get_config()
        config.runtime.num_devices = 1
        own = {**changes, **scale.changes} if is_mlp else dict(changes)
        if scale is SMOKE and not is_mlp:
            own |= {"dataset.name": "sprites:16", "dataset.validation_size": 0}
        yield name, default.finish(override(config, own), "")


def _least_seconds(config: Config, peaks: dict[str, float]) -> float:
    """Returns what a step needs at these peaks: it does its products, and reads and
    writes each parameter, its gradient and two moments once."""
    return max(
        flops.of_step(config) / peaks[f"{config.precision} products, FLOP/s"],
        8 * 4 * _num_parameters(config) / peaks["copies, bytes/s"],
    )


def _num_parameters(config: Config) -> int:
    _, _, state = flops.describe(config)
    return flops.num_parameters(state.params)


def _of_pytorch(config: Config) -> list[Maker]:
    try:
        from benchmarks import pytorch
    except (ImportError, OSError):  # OSError: of CUDA's libraries
        return []
    device = "cuda" if pytorch.torch.cuda.is_available() else "cpu"
    images, _ = images_of(config)
    makers = [
        Maker(
            pytorch.training,
            (config, images, f"PyTorch, {way}", CORES, way == "compiled", device),
        )
        for way in ("eager", "compiled")
    ]
    if device == "cuda":
        name = "PyTorch, CUDA graph"
        makers.append(Maker(pytorch.training_as_graph, (config, images, name)))
    return makers


def _best(makers: list[Maker], scale: Scale) -> dict[str, float]:
    rates = race(makers, rounds=scale.rounds, seconds=scale.seconds)
    return {name: max(of_rounds) for name, of_rounds in rates.items()}


if __name__ == "__main__":
    main()

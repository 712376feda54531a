"""What `benchmarks/gpu.sh` measures, each part in processes of its own.

A part that fails is noted with its error; the others go on. What is measured is written
after each part.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import flops, ours
from benchmarks.run import CORES, Maker, images_of, race
from configs import default, mnist_vae
from experiments import origin, workdir
from experiments.cells import override
from experiments.terminal import say
from vae.build import Config

ROOT = Path(__file__).parents[1]
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


def main() -> None:
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
        start = time.monotonic()
        try:
            measured[name] = PARTS[name](scale)
        except Exception as error:
            measured["failed"][name] = f"{type(error).__name__}: {error}"
            traceback.print_exc()
        say(f"{name}: {time.monotonic() - start:.0f} s")
        workdir.write_json(out, measured)
    say(json.dumps(measured, indent=1))
    say(f"written to {out}")
    sys.exit(bool(measured["failed"]))


def alone(scale: Scale) -> dict[str, dict[str, float]]:
    """Steps per second of one run, here and in PyTorch: the best round of each."""
    found = {}
    for name, config in _configs(scale):
        makers = [Maker(ours.training, (config, "ours"))]
        if config.model.encoder.name != "mlp":
            lax = {f"model.{p}.convolution": "lax" for p in ("encoder", "decoder")}
            makers.append(Maker(ours.training, (override(config, lax), "ours, lax")))
        found[name] = _best([*makers, *_of_pytorch(config)], scale)
    return found


def populations(scale: Scale) -> dict[str, Any]:
    """Run-steps per second of populations, and their share of what memory and products
    allow: a step reads and writes each parameter, its gradient and two moments once."""
    peaks = peak(scale)
    found: dict[str, Any] = {}
    for name, config in _configs(scale):
        if name not in POPULATIONS:
            continue
        seconds = max(
            flops.of_step(config) / peaks["float32 products, FLOP/s"],
            8 * 4 * _num_parameters(config) / peaks["copies, bytes/s"],
        )
        found[name] = {}
        for size in POPULATIONS[name]:
            if size <= scale.most:
                rates = _best([Maker(ours.together, (config, size))], scale)
                (rate,) = rates.values()
                of_size = {"run-steps/s": rate, "share of roofline": rate * seconds}
                found[name][str(size)] = of_size
    return found


def peak(scale: Scale) -> dict[str, float]:
    """What copies and products of large matrices reach."""
    side = 8192 if scale is FULL else 256
    found = {}
    for dtype in ("float32", "bfloat16"):
        (rate,) = _best([Maker(ours.products, (side, dtype))], scale).values()
        found[f"{dtype} products, FLOP/s"] = 2 * side**3 * rate
    (rate,) = _best([Maker(ours.copies, (side // 8,))], scale).values()
    return found | {"copies, bytes/s": rate}


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


PARTS: dict[str, Callable[[Scale], dict[str, Any]]] = {
    "launches": launches,
    "sweep": sweep,
    "alone": alone,
    "populations": populations,
    "peak": peak,
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
        config = mnist_vae.get_config("")
        config.runtime.num_devices = 1
        own = {**changes, **scale.changes} if "MLP" in name else dict(changes)
        if scale is SMOKE and "MLP" not in name:
            own |= {"dataset.name": "sprites:16", "dataset.validation_size": 0}
        yield name, default.finish(override(config, own), "")


def _num_parameters(config: Config) -> int:
    _, _, state = flops.describe(config)
    return flops.num_parameters(state.params)


def _of_pytorch(config: Config) -> list[Maker]:
    try:
        from benchmarks import pytorch
    except ImportError:
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


if __name__ == "__main__":
    main()

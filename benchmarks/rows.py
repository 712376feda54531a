"""Training on a table of 10 million rows, which streams, against a small table that is
kept on the device.

    python -m benchmarks.rows

writes rows of 50 columns, drawn from a mixture of Gaussians, to a temporary folder
(2.2 GB, and as much again twice while they are read). A process for each case trains
the VAE of `configs/table_vae.py` with batches of 100. The cases are timed in turn.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import jax
import numpy as np

from configs import table_vae
from experiments import origin
from experiments.program import chunks, make_program
from experiments.terminal import say
from vae.build import Config, build

COLUMNS, CLUSTERS, BLOCK, TEST = 50, 10, 100_000, 10_000
SMALL, LARGE = 100_000, 10_000_000
ROUNDS, SECONDS, WARM_UP = 3, 10.0, 6  # WARM_UP: calls before a timing
MEMORY = {  # in /proc/PID/status, by what it is called here
    "VmHWM": "peak_mib",  # of all pages, those of files that are mapped included
    "RssAnon": "peak_anonymous_mib",  # of what the system cannot drop
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=LARGE, help=f"(default: {LARGE})")
    rows = max(SMALL, parser.parse_args().rows)
    sizes = [(SMALL, "resident"), (max(SMALL, rows // 10), "stream"), (rows, "stream")]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        cases = {}
        for size, pipeline in sizes:
            path = Path(folder) / f"{size}.npz"
            write_rows(path, size)
            name = f"{size} rows, {pipeline}"
            cases[name] = stack.enter_context(_trained(path, pipeline))
            say(f"{name}: ready")
        found = {name: {"steps_per_second": []} for name in cases}
        for _, (name, pipe) in itertools.product(range(ROUNDS), cases.items()):
            pipe.send(None)
            rate, memory = pipe.recv()
            found[name]["steps_per_second"].append(round(rate))
            found[name] |= memory
    resident, *streamed = (np.median(f["steps_per_second"]) for f in found.values())
    ratios = [round(float(rate / resident), 3) for rate in streamed]
    about = {"processor": origin.processor(), "cores": origin.cores()}
    say(json.dumps(about | {"cases": found, "ratios": ratios}, indent=1))


def write_rows(path: Path, size: int) -> None:
    """Writes an .npz of `size` training rows, block by block."""
    with zipfile.ZipFile(path, "w") as file:
        for key, count, first in (("x_train", size, 1), ("x_test", TEST, 0)):
            header = {"descr": "<f4", "fortran_order": False}
            with file.open(f"{key}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(
                    stream, header | {"shape": (count, COLUMNS)}
                )
                for start in range(0, count, BLOCK):
                    block = draw_rows((first, start), min(BLOCK, count - start))
                    stream.write(block.tobytes())


def draw_rows(seed: tuple[int, ...], count: int) -> np.ndarray:
    """Draws rows float32 [count, COLUMNS] of a mixture that is always the same."""
    means = np.random.default_rng(0).normal(0, 3, (CLUSTERS, COLUMNS))
    random = np.random.default_rng(seed)
    rows = random.standard_normal((count, COLUMNS), np.float32)
    return rows + means[random.integers(0, CLUSTERS, count)].astype(np.float32)


def config_of(path: Path, pipeline: str) -> Config:
    config = table_vae.get_config()
    config.dataset.name, config.dataset.batch_size = f"npz:{path}", 100
    config.model.likelihood.name = "gaussian_shared"
    config.runtime.pipeline, config.runtime.num_devices = pipeline, 1
    config.train.steps = 10**7
    return config


@contextlib.contextmanager
def _trained(path: Path, pipeline: str) -> Iterator[Connection]:
    """Starts a process that trains for a while whenever it is sent something, and
    answers with steps per second and its memory."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, path, pipeline), daemon=True
    )
    process.start()
    theirs.close()
    ours.recv()
    try:
        yield ours
    finally:
        ours.close()
        process.join()


def _serve(pipe: Connection, path: Path, pipeline: str) -> None:
    peak: dict[str, float] = {}
    threading.Thread(target=_watch, args=(peak,), daemon=True).start()
    steps = _steps(config_of(path, pipeline))
    next(steps)
    pipe.send(None)
    with contextlib.suppress(EOFError):
        while True:
            pipe.recv()
            for _ in range(WARM_UP):
                next(steps)
            start, count = time.perf_counter(), 0
            while (elapsed := time.perf_counter() - start) < SECONDS:
                count += next(steps)
            pipe.send((count / elapsed, {k: round(v) for k, v in peak.items()}))


def _steps(config: Config) -> Iterator[int]:
    """Trains a run call by call; gives how many steps each had."""
    experiment = build(config)
    program = make_program(experiment)
    carry: Any = experiment.placement.place([program.initialize(experiment)])
    data = chunks([experiment], program, 0)
    for first, end in program.plan.calls(0):
        carry = jax.block_until_ready(program.advance(carry, next(data), end - first))
        yield end - first


def _watch(peak: dict[str, float]) -> None:
    """Notes the most memory of this process, in MiB, for as long as it lives."""
    while True:
        for line in Path("/proc/self/status").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name in MEMORY:
                held = int(value.split()[0]) / 2**10
                peak[MEMORY[name]] = max(held, peak.get(MEMORY[name], 0.0))
        time.sleep(0.02)


if __name__ == "__main__":
    main()

"""Two processes train as one process with two devices does."""

import json
import socket
import subprocess
from pathlib import Path

import numpy as np

from tests.conftest import ROOT, launch_command, launch_environment

FLAGS = [
    f"--config={ROOT}/configs/quickstart.py:smoke",
    "--config.precision=float64",
    "--config.train.steps=50",
    "--config.train.log_every=50",
]


def run_processes(workdir: Path, count: int, devices_each: int) -> dict:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    processes = []
    for i in range(count):
        flags = [*FLAGS, f"--workdir={workdir}"]
        if count > 1:
            flags.append(f"--multihost=localhost:{port},{i},{count}")
        processes.append(
            subprocess.Popen(
                launch_command(*flags),
                env=launch_environment(JAX_NUM_CPU_DEVICES=str(devices_each)),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    metrics = json.loads((workdir / "metrics.jsonl").read_text())
    return metrics | json.loads((workdir / "results.json").read_text())


def test_two_processes_agree_with_one_of_two_devices(tmp_path: Path) -> None:
    one = run_processes(tmp_path / "one", count=1, devices_each=2)
    two = run_processes(tmp_path / "two", count=2, devices_each=1)
    compared = [
        "train/loss",
        "train/param_norm",
        "test/elbo_nats",
        "test/nll_is10_nats",
        "latent/kl_per_dim",
    ]
    for name in compared:
        np.testing.assert_allclose(two[name], one[name], atol=1e-9, rtol=1e-9)

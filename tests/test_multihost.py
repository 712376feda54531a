"""Two processes train as one process with two devices does."""

import json
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

from configs import quickstart
from experiments import train
from tests.conftest import ROOT, launch_command, launch_environment
from tests.helpers.launched import UNOPTIMISED

COMPARED = (
    "train/loss",
    "train/param_norm",
    "test/elbo_nats",
    "test/nll_is2_nats",
    "latent/kl_per_dim",
)


def read(workdir: Path) -> dict:
    metrics = json.loads((workdir / "metrics.jsonl").read_text())
    return metrics | json.loads((workdir / "results.json").read_text())


@pytest.mark.slow
def test_two_processes_agree_with_one_of_two_devices(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    flags = [
        f"--config={ROOT}/configs/quickstart.py:smoke",
        "--config.precision=float64",
        "--config.train.log_every=20",
        "--config.model.latent_dim=4",
        f"--workdir={tmp_path}/two",
    ]
    processes = [
        subprocess.Popen(
            launch_command(*flags, f"--multihost=localhost:{port},{process},2"),
            env=launch_environment(JAX_NUM_CPU_DEVICES="1", **UNOPTIMISED),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process in range(2)
    ]
    config = quickstart.get_config("smoke")
    config.precision, config.model.latent_dim = "float64", 4
    config.runtime.num_devices, config.train.log_every = 2, 20
    train.run(config, tmp_path / "one")
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    for name in COMPARED:
        np.testing.assert_allclose(two[name], one[name], atol=1e-9, rtol=1e-9)

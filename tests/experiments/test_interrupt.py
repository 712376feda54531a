"""Kills, signals and full disks: the same command continues as if nothing happened."""

import json
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
import pytest

from experiments import interrupt
from experiments.workdir import read_results
from tests.conftest import ROOT
from tests.experiments.test_train import without_measurements
from tests.helpers.launched import UNOPTIMISED, Launched, Start, forks
from vae.training.checkpoint import Checkpointer, saved_steps

FLAGS = [
    f"--config={ROOT}/configs/quickstart.py",
    "--config.train.steps=600",
    "--config.train.log_every=50",
    "--config.runtime.steps_per_call=25",
    "--config.runtime.checkpoint_every=150",
    "--config.model.encoder.widths=(64,)",
    "--config.model.decoder.widths=(64,)",
    "--config.dataset.batch_size=20",
    "--config.evaluate.bounds.importance_samples=100",
    "--config.runtime.pipeline=stream",
    "--config.dataset.validation_size=100",
    "--config.train.evaluate_every=200",
    "--config.optimizer.ema_decay=0.99",
    "--config.optimizer.skip_norm=25.0",
    "--workdir=run",
]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with forks(**UNOPTIMISED) as start:
        yield start


def finish(started: Launched) -> None:
    status, _, errors = started.wait()
    assert status == 0, errors


def saved(workdir: Path) -> Any:
    """The last checkpoint, whatever is in it."""
    with closing(Checkpointer(workdir)) as checkpointer:
        manager = checkpointer._manager
        arguments = ocp.args.Composite(
            state=ocp.args.StandardRestore(), info=ocp.args.JsonRestore()
        )
        return manager.restore(manager.latest_step(), args=arguments)


def outcome(workdir: Path) -> tuple[Any, dict[str, Any], list[dict[str, float]]]:
    """Final checkpoint, results without times, and metrics."""
    checksum = saved(workdir)["info"]["crc32"]
    results = json.loads((workdir / "results.json").read_text())
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return checksum, without_measurements(results), [json.loads(line) for line in lines]


@pytest.mark.slow
def test_killed_at_four_moments_and_continued(start: Start, tmp_path: Path) -> None:
    finish(start(tmp_path / "whole", *FLAGS))
    seed = time.time_ns()
    print(f"moments drawn with seed {seed}")
    workdir, moments = tmp_path / "killed/run", random.Random(seed)
    checkpoints = workdir / "checkpoints"

    def saving() -> bool:
        return any("tmp" in path.name for path in checkpoints.glob("*"))

    def logged(lines: int) -> bool:
        metrics = workdir / "metrics.jsonl"
        return metrics.exists() and metrics.read_text().count("\n") >= lines

    def kill(process: Launched, condition: Callable[[], Any], moment: str) -> None:
        process.wait_for(condition)
        time.sleep(moments.uniform(0, 0 if moment == "saving" else 0.3))
        assert process.is_running(), f"the run ended before it was killed {moment}"
        process.kill()

    conditions = {
        "compiling": (workdir / "config.json").exists,
        "stepping": lambda: logged(moments.randrange(1, 5)),
        "saving": saving,
        "evaluating": lambda: 600 in saved_steps(workdir),
    }
    for moment, condition in conditions.items():
        if moment == "compiling":  # without what the first run has compiled
            compiles = {"JAX_ENABLE_COMPILATION_CACHE": "False", **UNOPTIMISED}
            with forks(**compiles) as start_anew:
                kill(start_anew(tmp_path / "killed", *FLAGS), condition, moment)
        else:
            kill(start(tmp_path / "killed", *FLAGS), condition, moment)
    assert "collapse" not in read_results(workdir)
    finish(start(tmp_path / "killed", *FLAGS))
    assert outcome(workdir) == outcome(tmp_path / "whole/run")


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts back what the process does with signals."""
    before = {number: signal.getsignal(number) for number in interrupt.SIGNALS}
    monkeypatch.setattr(interrupt, "_received", [])
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["HUP", "INT", "TERM", "USR1", "USR2", "XCPU"])
def test_all_that_schedulers_send_asks_to_stop(handlers, name: str) -> None:
    interrupt.watch()
    assert not interrupt.requested()
    signal.raise_signal(signal.Signals[f"SIG{name}"])
    assert interrupt.requested()


def test_under_nohup_a_closed_terminal_stops_nothing(handlers) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt.watch()
    signal.raise_signal(signal.SIGHUP)
    assert not interrupt.requested()


BUSY = """
import hashlib
from experiments import interrupt
interrupt.watch({how})
print("ready", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 10**8)  # a minute without a handler
"""


@pytest.mark.parametrize("how", ["", "ends_at_once=True"])
def test_a_long_call_can_be_interrupted(how: str) -> None:
    """By the first signal, if the work does not ask whether to stop; else by a Ctrl-C
    after it."""
    with subprocess.Popen(
        [sys.executable, "-c", BUSY.format(how=how)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        if not how:
            process.send_signal(signal.SIGINT)
            assert "Ctrl-C again stops now" in process.stderr.readline()
        process.send_signal(signal.SIGTERM if how else signal.SIGINT)
        assert "error: interrupted" in process.stderr.readline()
        assert process.wait(timeout=10) == 130


@pytest.mark.slow
def test_asked_to_stop_it_saves_and_says_so(start: Start, tmp_path: Path) -> None:
    process, workdir = start(tmp_path, *FLAGS), tmp_path / "run"
    process.wait_for((workdir / "metrics.jsonl").exists)
    process.wait_for((workdir / "metrics.jsonl").read_text)
    process.send(signal.SIGTERM)
    status, _, errors = process.wait()
    assert status == 130
    assert "launch the same command again to continue" in errors
    assert "Traceback" not in errors
    (step,) = [n for n in saved_steps(workdir) if f"step {n} of" in errors]
    assert 0 < step <= 600


@pytest.mark.slow
def test_too_little_memory_ends_in_one_line(start: Start, tmp_path: Path) -> None:
    wide = "--config.model.encoder.widths=(2_000_000,)"  # of 6 GB
    process = start(tmp_path, *FLAGS, wide)
    resource.prlimit(process.pid, resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
    status, _, errors = process.wait()
    assert status == 1
    assert errors.startswith("error: out of memory; lower dataset.batch_size")
    assert len(errors.splitlines()) == 1


@pytest.mark.slow
def test_a_full_disk_is_told_of_and_earlier_checkpoints_stay(
    start: Start, tmp_path: Path
) -> None:
    process, workdir = start(tmp_path, *FLAGS), tmp_path / "run"
    process.wait_for(lambda: saved_steps(workdir))
    # No file may grow beyond 50 kB from now on: checkpoints do not fit, metrics do.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
    status, _, errors = process.wait()
    assert status == 1
    assert "was not written" in errors
    assert "File too large" in errors
    assert "Traceback" not in errors
    assert saved_steps(workdir)
    finish(start(tmp_path, *FLAGS))

"""Kills, signals and full disks: the same command continues as if nothing happened."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments import interrupt, workdir
from experiments.workdir import read_results
from tests.conftest import ROOT, launch_command, launch_environment
from tests.experiments.test_train import without_measurements
from vae.training.checkpoint import Checkpointer, saved_steps

FLAGS = [
    f"--config={ROOT}/configs/quickstart.py",
    "--config.train.steps=2400",
    "--config.train.log_every=100",
    "--config.runtime.steps_per_call=50",
    "--config.runtime.checkpoint_every=300",
    "--config.model.encoder.widths=(64,)",
    "--config.model.decoder.widths=(64,)",
    "--config.evaluate.bounds.importance_samples=1000",
    "--config.runtime.pipeline=stream",
    "--config.dataset.validation_size=100",
    "--config.train.evaluate_every=400",
]


def start(workdir: Path, *flags: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        launch_command(*FLAGS, *flags, f"--workdir={workdir}"),
        env=launch_environment(**environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(workdir: Path) -> None:
    process = start(workdir)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "the run ended before the moment came"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def outcome(workdir: Path) -> tuple[Any, dict[str, Any], list[dict[str, float]]]:
    """Final checkpoint, results without times, and metrics."""
    checkpointer = Checkpointer(workdir)
    manager = checkpointer._manager  # reads whatever is there, without a target
    import orbax.checkpoint as ocp

    arguments = ocp.args.Composite(
        state=ocp.args.StandardRestore(), info=ocp.args.JsonRestore()
    )
    checksum = manager.restore(manager.latest_step(), args=arguments)["info"]["crc32"]
    checkpointer.close()
    results = json.loads((workdir / "results.json").read_text())
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return checksum, without_measurements(results), [json.loads(line) for line in lines]


@pytest.mark.slow
def test_killed_at_five_moments_and_continued(tmp_path: Path) -> None:
    finish(tmp_path / "whole")
    seed = time.time_ns()
    print(f"moments drawn with seed {seed}")
    workdir, moments = tmp_path / "killed", random.Random(seed)
    checkpoints = workdir / "checkpoints"

    def saving() -> bool:
        return any("tmp" in path.name for path in checkpoints.glob("*"))

    def logged(lines: int) -> bool:
        metrics = workdir / "metrics.jsonl"
        return metrics.exists() and metrics.read_text().count("\n") >= lines

    conditions = {
        "compiling": (workdir / "config.json").exists,
        "stepping": lambda: logged(moments.randrange(1, 5)),
        "saving": saving,
        "anywhere": lambda: len(saved_steps(workdir)) >= 2,
        "evaluating": lambda: 2400 in saved_steps(workdir),
    }
    for moment, condition in conditions.items():
        compiled_before = {"JAX_ENABLE_COMPILATION_CACHE": str(moment != "compiling")}
        process = start(workdir, **compiled_before)
        wait_for(condition, process)
        time.sleep(moments.uniform(0, 0 if moment == "saving" else 0.3))
        assert process.poll() is None, f"the run ended before it was killed {moment}"
        process.kill()
        process.communicate()
    assert "collapse" not in read_results(workdir)
    finish(workdir)
    assert outcome(workdir) == outcome(tmp_path / "whole")


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
interrupt.watch()
print("ready", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 10**8)  # a minute without a handler
"""


def test_a_long_call_can_be_interrupted() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "Ctrl-C again stops now" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert "error: interrupted" in process.stderr.readline()
        assert process.wait(timeout=10) == 130


NAMES = (b"a", "\u00fc".encode(), b"b\xff")
LISTS_NAMES = """
import sys
from pathlib import Path
from experiments import workdir
rows = [["name"], *([path.name] for path in sorted(Path(sys.argv[1]).iterdir()))]
workdir.write_csv(Path(sys.argv[2]), rows)
"""


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_of_files_are_written_in_any_locale(tmp_path: Path, locale: str) -> None:
    (tmp_path / "images").mkdir()
    for name in NAMES:
        (tmp_path / "images" / os.fsdecode(name)).touch()
    arguments = str(tmp_path / "images"), str(tmp_path / "list.csv")
    subprocess.run(
        [sys.executable, "-c", LISTS_NAMES, *arguments],
        check=True,
        cwd=ROOT,
        env={**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0"},
    )
    listed = (tmp_path / "list.csv").read_bytes().decode("utf-8")
    assert sorted(listed.split()) == sorted(["name", "a", "\u00fc", "b\\xff"])


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    workdir.write_csv(path, [["a"], [1]])

    def rows() -> Iterator[list[int]]:
        yield [2]
        raise OSError

    with pytest.raises(OSError):
        workdir.write_csv(path, rows())
    assert path.read_text() == "a\n1\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_and_says_so(tmp_path: Path, number: int) -> None:
    process = start(tmp_path)
    wait_for((tmp_path / "metrics.jsonl").exists, process)
    wait_for((tmp_path / "metrics.jsonl").read_text, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "launch the same command again to continue" in errors
    assert "Traceback" not in errors
    (step,) = [n for n in saved_steps(tmp_path) if f"step {n} of" in errors]
    assert 0 < step <= 2400


def test_too_little_memory_ends_in_one_line(tmp_path: Path) -> None:
    wide = "--config.model.encoder.widths=(2_000_000,)"  # of 6 GB
    process = start(tmp_path, wide)
    resource.prlimit(process.pid, resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.startswith("error: out of memory; lower dataset.batch_size")
    assert len(errors.splitlines()) == 1


def test_a_full_disk_is_told_of_and_earlier_checkpoints_stay(tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for(lambda: saved_steps(tmp_path), process)
    # No file may grow beyond 50 kB from now on: checkpoints do not fit, metrics do.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "was not written" in errors
    assert "File too large" in errors
    assert "Traceback" not in errors
    kept = saved_steps(tmp_path)
    assert kept
    finish(tmp_path)

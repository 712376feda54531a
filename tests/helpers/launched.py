"""Launches without the seconds that imports take: in forks of one process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.conftest import ROOT, launch_environment

PATIENCE = 120.0  # seconds
# Programs compile three times as fast, and are the ones that tests have compiled.
UNOPTIMISED = {"XLA_FLAGS": os.environ["XLA_FLAGS"]}

Ask = Callable[..., dict[str, Any]]
Start = Callable[..., "Launched"]


class Launched(NamedTuple):
    """A launch that is under way."""

    ask: Ask
    pid: int
    folder: Path

    def is_running(self) -> bool:
        """Says if it has not ended; ended it is a zombie, until it is waited for."""
        return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> tuple[int, str, str]:
        """Returns status, standard output and standard error, once it has ended."""
        status = self.ask(pid=self.pid, patience=PATIENCE)["status"]
        if status is None:
            self.kill()
            raise TimeoutError(f"no end after {PATIENCE} seconds")
        paths = (self.folder / f"{name}.txt" for name in ("out", "err"))
        out, err = (path.read_text(errors="replace") for path in paths)
        return status, out, err

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.ask(pid=self.pid, patience=PATIENCE)

    def wait_for(self, condition: Callable[[], Any]) -> None:
        """Returns once the condition holds, before the launch has ended."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.is_running(), "the run ended before the moment came"
            assert time.monotonic() < deadline
            time.sleep(0.005)


@contextmanager
def forks(**environment: str) -> Iterator[Start]:
    """Gives (folder, *arguments, **environment) -> a launch in that folder; what JAX
    reads of the environment when it is imported is given here."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tests/helpers/forks.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=launch_environment(**environment),
        text=True,
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None and stdout is not None

        def ask(**asked: Any) -> dict[str, Any]:
            stdin.write(json.dumps(asked) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

        def start(folder: Path, *arguments: str, **environment: str) -> Launched:
            folder.mkdir(parents=True, exist_ok=True)
            asked = {"folder": str(folder), "environment": environment}
            return Launched(ask, ask(arguments=arguments, **asked)["pid"], folder)

        yield start

"""Launches in forks of one process that has everything imported: `python forks.py`.

Reads a launch a line from standard input, {"arguments": [...], "folder": ...}, runs it
there, and prints {"status": ..., "out": ..., "err": ...}; the status is -9 if it took
longer than PATIENCE.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax  # noqa: F401

import launch
from experiments import (  # noqa: F401
    collect,
    evaluate,
    failures,
    reproduce,
    score,
    sweep,
    train,
)
from experiments.latents import run as latents  # noqa: F401

PATIENCE = 60.0  # seconds


def run(arguments: list[str], folder: Path) -> dict[str, str | int]:
    out, err = folder / "out.txt", folder / "err.txt"
    if (child := os.fork()) == 0:
        os.chdir(folder)
        for path, number in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        status = 70
        try:
            status = launch.main(["launch.py", *arguments])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    deadline = time.monotonic() + PATIENCE
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    texts = {path.stem: path.read_text(errors="replace") for path in (out, err)}
    return {"status": os.waitstatus_to_exitcode(ended[1]), **texts}


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(run(asked["arguments"], Path(asked["folder"]))), flush=True)

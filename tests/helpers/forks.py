"""Launches in forks of one process that has everything imported: `python forks.py`.

Reads a request a line from standard input and answers each by a line:
{"arguments": [...], "folder": ..., "environment": {...}} starts a launch there and
gives {"pid": ...}; {"pid": ..., "patience": seconds} waits for one and gives its
{"status": ...}, which is null if it has not ended by then. What a launch says is in
`out.txt` and `err.txt` of its folder.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

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


def start(arguments: list[str], folder: str, environment: dict[str, str]) -> int:
    if (child := os.fork()) == 0:
        os.chdir(folder)
        os.environ.update(environment)
        for name, number in (("out", 1), ("err", 2)):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(f"{name}.txt", flags), number)
        status = 70
        try:
            status = launch.main(["launch.py", *arguments])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return child


def wait(pid: int, patience: float) -> int | None:
    deadline = time.monotonic() + patience
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            return None
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(ended[1])


def answer(asked: dict[str, Any]) -> dict[str, int | None]:
    return {"status": wait(**asked)} if "pid" in asked else {"pid": start(**asked)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)

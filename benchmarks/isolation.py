"""Contestants in processes of their own, so that no library's threads and memory are in
the way of another's."""

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.timing import Contestant


class Isolated(AbstractContextManager):
    """A contestant that is made and timed in a process of its own, idle in between; or
    several that do the same work at the same time.

    Args:
      make: a function of a module that returns a `Contestant`.
      *arguments: what it takes; pickled, as `make` is.
      copies: how many processes there are.
    """

    def __init__(
        self, make: Callable[..., Contestant], *arguments: Any, copies: int = 1
    ):
        context = multiprocessing.get_context("spawn")
        self._pipes, self._processes = [], []
        for _ in range(copies):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, make, arguments), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        (name, per_unit), *_ = self._receive()
        self.contestant = Contestant(name, self._run, copies * per_unit)

    def _run(self, units: int) -> None:
        for pipe in self._pipes:
            pipe.send(units)
        self._receive()

    def _receive(self) -> list[Any]:
        try:
            return [pipe.recv() for pipe in self._pipes]
        except EOFError as error:
            raise RuntimeError("a benchmark's process died; see above") from error

    def __exit__(self, *_: object) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.close()
            process.join()


def _serve(
    pipe: Connection, make: Callable[..., Contestant], arguments: tuple[Any, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks ends it
    contestant = make(*arguments)
    pipe.send((contestant.name, contestant.per_unit))
    while True:
        try:
            units = pipe.recv()
        except EOFError:
            return
        contestant.run(units)
        pipe.send(None)

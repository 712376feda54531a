"""Contestants in processes of their own, so that no library's threads and memory are in
the way of another's."""

import multiprocessing
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from typing import Any

from experiments.benchmark.timing import Contestant


class Isolated(AbstractContextManager):
    """A contestant that is made and timed in a process of its own, idle in between.

    Args:
      make: a function of a module that returns a `Contestant`.
      *arguments: what it takes; pickled, as `make` is.
    """

    def __init__(self, make: Callable[..., Contestant], *arguments: Any):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, make, arguments), daemon=True
        )
        self._process.start()
        theirs.close()
        name, per_unit = self._receive()
        self.contestant = Contestant(name, self._run, per_unit)

    def _run(self, units: int) -> None:
        self._pipe.send(units)
        self._receive()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError as error:
            raise RuntimeError("a benchmark's process died; see above") from error

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join()


def _serve(
    pipe: Connection, make: Callable[..., Contestant], arguments: tuple[Any, ...]
) -> None:
    contestant = make(*arguments)
    pipe.send((contestant.name, contestant.per_unit))
    while True:
        try:
            units = pipe.recv()
        except EOFError:
            return
        contestant.run(units)
        pipe.send(None)

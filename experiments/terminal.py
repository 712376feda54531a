"""What a person sees of a run: progress while it goes on, a table at its end."""

import functools
import logging
import os
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from experiments.page import not_finite

SECONDS_BETWEEN_LINES = 10.0
SHOWN = ("train/loss", "validation/elbo_nats")  # beside the bar


@functools.cache
def _console() -> Console:
    """Returns the one console: lines that it prints appear above a bar that it shows.
    It prints words as they are: brackets and colons have no meaning."""
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


class ProgressReport:
    """A bar with pace, loss and time left; plain lines if not on a terminal.

    Use as a context manager; `advance_to` is cheap enough to call at every log.

    Args:
      what: names the work.
      start: units that were done before.
      total: units in all.
      unit: names the units.
      quiet: shows nothing.
      side_by_side: how many units are in work at a time, and so end at about the same
        time, if each is reported when it ends.
    """

    def __init__(
        self,
        what: str,
        start: int,
        total: int,
        unit: str,
        *,
        quiet: bool = False,
        side_by_side: int = 1,
    ):
        self._what, self._total, self._unit = what, total, unit
        self._quiet, self._side_by_side = quiet, side_by_side
        self._console = _console()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(what, total=total, completed=start, note="")
        self._done = start
        self._reports = 0
        self._first: list[tuple[float, int]] = []  # when, and what was done then
        self._last_line = -float("inf")

    def __enter__(self) -> "ProgressReport":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self, count: int) -> None:
        """Reports `count` more units done."""
        self.advance_to(self._done + count, {})

    def advance_to(self, done: int, values: Mapping[str, float]) -> None:
        """Reports that `done` of the total are done, and the metrics there."""
        now = time.perf_counter()
        shown = [
            f"{name.split('/')[-1]} {value:.2f}"
            for name, value in values.items()
            if name in SHOWN
        ]
        if pace := self._pace(now, done):
            shown.append(f"{pace:.{2 if pace < 1 else 0}f} {self._unit}/s")
            shown.append(self._time_left(pace))
        note = ", ".join(shown)
        self._bar.update(self._task, completed=done, note=note)
        is_due = now - self._last_line >= SECONDS_BETWEEN_LINES or done >= self._total
        if not self._quiet and not self._console.is_terminal and is_due:
            self._last_line = now
            line = f"{self._what} {done}/{self._total}"
            self._console.print(f"{line}: {note}" if note else line)

    def advance_with_line(self, line: str) -> None:
        """Reports that one more unit is done, with a line of its own."""
        pace = self._pace(time.perf_counter(), self._done + 1)
        left = self._time_left(pace) if pace and self._done < self._total else ""
        self._bar.update(self._task, completed=self._done, note=left)
        if not self._quiet:
            is_beside_bar = self._console.is_terminal or not left
            self._console.print(line if is_beside_bar else f"{line}; {left}")

    def _pace(self, now: float, done: int) -> float | None:
        """Returns units per second since a report that came a multiple of
        `side_by_side` reports ago; None before there is one.

        The time until the first reports does not count: programs compile in it. Units
        side by side end in groups, and so the n-th of a group is compared with the n-th
        of the first group.
        """
        self._done = done
        place = self._reports % self._side_by_side
        self._reports += 1
        if place == len(self._first):
            self._first.append((now, done))
            return None
        then, before = self._first[place]
        return (done - before) / max(now - then, 1e-9)

    def _time_left(self, pace: float) -> str:
        return f"{duration((self._total - self._done) / pace)} left"


def duration(seconds: float) -> str:
    """Returns hours, minutes and seconds, as in 1:02:03."""
    return str(timedelta(seconds=round(seconds)))


class Tolerant:
    """A stream that stops in silence once it cannot be written, as where `head` has
    read enough or the terminal is closed: what is printed must not end a run."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._attempt(self._stream.write, text) or 0

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, do: Any, *arguments: Any) -> Any:
        try:
            return do(*arguments)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            return None


def prepare_streams() -> None:
    """Makes standard output and error take every character, and end no run.

    A character that the terminal's encoding lacks is shown by its number. A stream that
    was closed before the start is replaced by one that leads nowhere.
    """
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, Tolerant(stream))


def fail(status: int, message: object) -> int:
    """Prints what is wrong as one line on standard error; returns `status`."""
    print("error:", " ".join(str(message).split()), file=sys.stderr)
    return status


def quieten_libraries() -> None:
    """Mutes what Orbax, TFDS and TensorStore log of errors that they also raise, and
    what Matplotlib logs of folders that it can do without."""
    for library in ("absl", "asyncio", "matplotlib"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    logging.basicConfig(
        format="%(message)s", force=True
    )  # our own warnings are for people

    def tell(unraisable: Any) -> None:
        # TensorStore calls a loop that Orbax has closed after a failed write.
        if str(unraisable.exc_value) != "Event loop is closed":
            sys.__unraisablehook__(unraisable)

    sys.unraisablehook = tell


def say(message: str) -> None:
    """Prints one line."""
    _console().print(message)


def print_results(results: Mapping[str, Any], workdir: str) -> None:
    """Prints results as a table, and names those that are not finite. A list is shown
    by its length and range; the range is nan if any value is."""
    table = Table("result", "value", title=f"results in {workdir}/results.json")
    for name, value in results.items():
        if isinstance(value, list):
            shown = f"{len(value)} values, {np.min(value):.3f} to {np.max(value):.3f}"
        else:
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
        table.add_row(name, shown)
    _console().print(table)
    if names := not_finite(results):
        say(f"not a finite number: {', '.join(names)}")

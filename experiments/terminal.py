"""What a person sees of a run: progress while it goes on, a table at its end."""

import logging
import re
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

SECONDS_BETWEEN_LINES = 10.0
SHOWN = ("train/loss", "validation/elbo_nats")  # beside the bar


class ProgressReport:
    """A bar with rate, loss and time left; plain lines if not on a terminal.

    Use as a context manager; `advance_to` is cheap enough to call at every log.
    """

    def __init__(
        self, what: str, start: int, total: int, unit: str, *, quiet: bool = False
    ):
        self._what, self._total, self._unit = what, total, unit
        self._quiet = quiet
        self._console = Console(highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(what, total=total, completed=start, note="")
        self._done = start
        self._first: tuple[float, int] | None = None  # when, and what was done then
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
        """Reports that `done` of the total are done, and the metrics there.

        Pace and time left count from the first report on: before it, programs compile.
        """
        self._done = done
        now = time.perf_counter()
        shown = [
            f"{name.split('/')[-1]} {value:.2f}"
            for name, value in values.items()
            if name in SHOWN
        ]
        if self._first is None:
            self._first = now, done
        elif done > self._first[1]:
            pace = (done - self._first[1]) / max(now - self._first[0], 1e-9)
            shown.append(f"{pace:.{2 if pace < 1 else 0}f} {self._unit}/s")
            shown.append(f"{duration((self._total - done) / pace)} left")
        note = ", ".join(shown)
        self._bar.update(self._task, completed=done, note=note)
        is_due = now - self._last_line >= SECONDS_BETWEEN_LINES or done >= self._total
        if not self._quiet and not self._console.is_terminal and is_due:
            self._last_line = now
            line = f"{self._what} {done}/{self._total}"
            self._console.print(f"{line}: {note}" if note else line)


def duration(seconds: float) -> str:
    """Returns hours, minutes and seconds, as in 1:02:03."""
    return str(timedelta(seconds=round(seconds)))


def fail(status: int, message: object) -> int:
    """Prints what is wrong as one line on standard error; returns `status`."""
    print("error:", " ".join(str(message).split()), file=sys.stderr)
    return status


def explain_flags(error: Exception) -> str:
    """Returns the cause of a refused command line, which ml_collections wraps in
    layers."""
    text = str(error).replace("\\'", "'").replace("\\n", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "No such file" in text:
        return f"--config: {lines[-1]} (configs/... is looked for in this folder)"
    if "Error whilst parsing config file" in text:
        return f"--config: {lines[-1].removeprefix('ValueError: ')}"
    if match := re.search(r"""Did you mean "(.*)" instead of "(.*)"\?""", text):
        return f"the config has no field {match[2]}; did you mean {match[1]}?"
    if isinstance(error, (AttributeError, KeyError)):
        return f"the config has no field {' '.join(lines)}"
    if "'config." in text:
        return f"{' '.join(lines)} (overrides need --config=FILE before them)"
    return " ".join(lines)


def quieten_libraries() -> None:
    """Mutes what Orbax, TFDS and TensorStore log of errors that they also raise."""
    for library in ("absl", "asyncio"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    logging.basicConfig(format="%(message)s")  # our own warnings are for people

    def tell(unraisable: Any) -> None:
        # TensorStore calls a loop that Orbax has closed after a failed write.
        if str(unraisable.exc_value) != "Event loop is closed":
            sys.__unraisablehook__(unraisable)

    sys.unraisablehook = tell


def say(message: str) -> None:
    """Prints one line."""
    Console(highlight=False, soft_wrap=True).print(message, markup=False)


def print_results(results: Mapping[str, Any], workdir: str) -> None:
    """Prints results as a table; a list is shown by its length and range."""
    table = Table("result", "value", title=f"results in {workdir}/results.json")
    for name, value in results.items():
        if isinstance(value, list):
            shown = f"{len(value)} values, {min(value):.3f} to {max(value):.3f}"
        else:
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
        table.add_row(name, shown)
    Console(soft_wrap=True).print(table)

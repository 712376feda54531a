"""Writes the metrics of a run: `metrics.jsonl` and TensorBoard event files."""

import json
import math
import os
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter


class MetricWriter:
    """Appends one line per logged step; after a restart, drops what came later.

    Lines reach the operating system at once, so that a killed process loses none that
    belong to a step before its last checkpoint.
    """

    def __init__(self, workdir: Path, resumed_step: int):
        path = workdir / "metrics.jsonl"
        _keep_lines_until(path, resumed_step)
        self._file = path.open("a", encoding="utf-8")
        # Events later than the resumed step are hidden by TensorBoard's purge_step.
        self._events = SummaryWriter(str(workdir), purge_step=resumed_step + 1)

    def write(self, step: int, metrics: dict[str, float]) -> None:
        line = json.dumps(finite({"step": step, **metrics}), allow_nan=False)
        self._file.write(line + "\n")
        self._file.flush()
        for name, value in metrics.items():
            self._events.add_scalar(name, value, step)

    def flush(self) -> None:
        """Forces what was written to the disk."""
        os.fsync(self._file.fileno())
        self._events.flush()

    def close(self) -> None:
        self._file.close()
        self._events.close()


def finite(value: Any) -> Any:
    """Returns a tree of dicts and lists as JSON can hold it: None in place of nan and
    of infinities."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    is_lost = isinstance(value, float) and not math.isfinite(value)
    return None if is_lost else value


def _keep_lines_until(path: Path, step: int) -> None:
    """Drops a half-written last line and all lines of steps after `step`."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n") and json.loads(line)["step"] <= step:
            kept.append(line)
    partial = path.with_suffix(".partial")
    partial.write_text("".join(kept), encoding="utf-8")
    partial.replace(path)


class NullWriter:
    """Writes nothing: for the processes of a multi-host run other than the first."""

    def write(self, step: int, metrics: dict[str, float]) -> None:
        del step, metrics

    def flush(self) -> None: ...

    def close(self) -> None: ...

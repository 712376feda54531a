"""Ctrl-C and SIGTERM: a run is asked to stop, and stops where its state is saved.

Handlers do nothing but note the signal: they may run within anything, JAX's callbacks
and imports included, where an exception would be lost or leave a trace.
"""

import os
import signal
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []


def watch() -> None:
    """Notes SIGINT and SIGTERM from now on; a second Ctrl-C ends the process."""
    for number in SIGNALS:
        signal.signal(number, _note)


def requested() -> bool:
    """Says whether the process was asked to stop."""
    return bool(_received)


def _note(number: int, frame: Any) -> None:
    del frame
    if _received and number == signal.SIGINT:
        os.write(2, b"error: interrupted; launch the same command again to continue\n")
        os._exit(130)
    _received.append(number)

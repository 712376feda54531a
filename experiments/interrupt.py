"""Signals that ask a run to stop: it stops where its state is saved.

Handlers do nothing but note the signal: they may run within anything, JAX's callbacks
and imports included, where an exception would be lost or leave a trace.
"""

import os
import signal
from typing import Any

# Ctrl-C, and what schedulers, closed terminals and limits of processor time send.
SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)
_received: list[int] = []


def watch() -> None:
    """Notes signals from now on; a second Ctrl-C ends the process. A process that was
    started to outlive its terminal, as by nohup, goes on ignoring SIGHUP."""
    for number in SIGNALS:
        is_ignored = signal.getsignal(number) == signal.SIG_IGN
        if not (number == signal.SIGHUP and is_ignored):
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

"""Signals that ask a run to stop: it stops where its state is saved.

Handlers do nothing but note the signal: they may run within anything, JAX's callbacks
and imports included, where an exception would be lost or leave a trace. Python runs
them when the call that it is in returns, and XLA compiles for minutes in one. So a
thread, which Python's part in C writes to at once, answers the person who waits.
"""

import os
import signal
import threading
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
STOPPING = b"stopping once this step is done and saved; Ctrl-C again stops now\n"
STOPPED = b"error: interrupted; launch the same command again to continue\n"
_received: list[int] = []


def watch(*, ends_at_once: bool = False) -> None:
    """Notes signals from now on; a Ctrl-C after the first ends the process. A process
    that was started to outlive its terminal, as by nohup, goes on ignoring SIGHUP.

    Args:
      ends_at_once: whether the first signal ends the process: for work that does not
        ask whether a stop was `requested`.
    """
    for number in SIGNALS:
        is_ignored = signal.getsignal(number) == signal.SIG_IGN
        if not (number == signal.SIGHUP and is_ignored):
            signal.signal(number, _note)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_answer, args=(reader, ends_at_once), daemon=True).start()


def pass_on() -> None:
    """Makes Ctrl-C a SIGTERM. On several hosts, JAX listens to that, and all of them
    agree where to stop."""
    signal.signal(signal.SIGINT, lambda *_: signal.raise_signal(signal.SIGTERM))


def requested() -> bool:
    """Says whether the process was asked to stop."""
    return bool(_received)


def _note(number: int, frame: Any) -> None:
    del frame
    _received.append(number)


def _answer(reader: int, ends_at_once: bool) -> None:
    """Says that a signal has come, and ends the process: at once, or at a Ctrl-C after
    it."""
    is_first = True
    while received := os.read(reader, 1):
        if received[0] not in SIGNALS:
            continue
        if ends_at_once or (not is_first and received[0] == signal.SIGINT):
            os.write(2, STOPPED)
            os._exit(130)
        if is_first:
            os.write(2, STOPPING)
        is_first = False

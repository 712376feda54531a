"""Times several ways to do the same work, in turn, again and again."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

ROUNDS = 7
SECONDS = 3.0  # of one timing
LEAST = 0.3  # seconds that tell how many units a timing should have
AT_ONCE = 1_000  # samples of a bound that PyTorch and Pythae decode at once


class Contestant(NamedTuple):
    """One way to do the work."""

    name: str
    run: Callable[[int], None]  # does so many units of work, and returns when done
    per_unit: float = 1.0  # steps or images of one unit


def measure(
    contestants: Sequence[Contestant],
    *,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
) -> list[list[float]]:
    """Returns for each contestant its steps or images per second in each round.

    In a round all are timed, one right after the other, so that what else the machine
    does meets all alike; each round starts with the next of them. What the first call
    compiles is not timed.
    """
    units = [_units_for(contestant, seconds) for contestant in contestants]
    rates: list[list[float]] = [[] for _ in contestants]
    for shift in range(rounds):
        for place in range(len(contestants)):
            i = (place + shift) % len(contestants)
            elapsed = _time(contestants[i], units[i])
            rates[i].append(units[i] * contestants[i].per_unit / elapsed)
    return rates


def _units_for(contestant: Contestant, seconds: float) -> int:
    contestant.run(1)
    units = 1
    while (elapsed := _time(contestant, units)) < min(LEAST, seconds):
        units *= 2
    return max(1, round(units * seconds / elapsed))


def _time(contestant: Contestant, units: int) -> float:
    start = time.perf_counter()
    contestant.run(units)
    return time.perf_counter() - start

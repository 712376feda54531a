import time

import pytest

from benchmarks import (
    timing,
)
from benchmarks.timing import Contestant


def test_rates_are_steps_by_time_and_rounds_rotate(monkeypatch) -> None:
    clock, calls = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def contestant(name: str, seconds: float, per_unit: float = 1.0) -> Contestant:
        def run_units(units: int) -> None:
            calls.append(name)
            clock[0] += units * seconds

        return Contestant(name, run_units, per_unit)

    entries = [contestant("slow", 0.5), contestant("fast", 0.01, per_unit=8)]
    slow, fast = timing.measure(entries, rounds=2, seconds=2.0)
    assert slow == pytest.approx([2, 2])
    assert fast == pytest.approx([800, 800])
    assert calls[-4:] == ["slow", "fast", "fast", "slow"]

import time

import pytest

from benchmarks.isolation import Isolated
from benchmarks.timing import Contestant


def fixed_pace(units_per_second: float) -> Contestant:
    """Made in another process: one that takes time, and fails after 100 units."""

    def run_units(units: int) -> None:
        assert units < 100
        time.sleep(units / units_per_second)

    return Contestant("paced", run_units, per_unit=2)


def test_copies_work_at_the_same_time() -> None:
    with Isolated(fixed_pace, 100.0, copies=2) as isolated:
        contestant = isolated.contestant
        assert contestant.per_unit == 4
        start = time.perf_counter()
        contestant.run(50)
        assert 0.5 <= time.perf_counter() - start < 1.0


def test_contestants_of_other_processes_are_timed_and_their_death_told() -> None:
    with Isolated(fixed_pace, 100.0) as isolated:
        contestant = isolated.contestant
        assert (contestant.name, contestant.per_unit) == ("paced", 2)
        start = time.perf_counter()
        contestant.run(20)
        assert time.perf_counter() - start >= 0.2
        with pytest.raises(RuntimeError, match="died"):
            contestant.run(100)

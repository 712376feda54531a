"""What a person sees while a run goes on."""

import os
import subprocess
import sys

import pytest

from experiments import terminal
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0:00:00"), (59.6, "0:01:00"), (3_723, "1:02:03")]
)
def test_durations(seconds: float, said: str) -> None:
    assert terminal.duration(seconds) == said


def set_times(monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
    times = iter(seconds)
    monkeypatch.setattr(terminal.time, "perf_counter", lambda: next(times))


def test_pace_and_time_left_count_from_the_first_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A minute of compilation and a first call, then 50 steps a second.
    set_times(monkeypatch, 60.0, 80.0, 90.0)
    with terminal.ProgressReport("train", 1_000, 10_000, "steps") as progress:
        for step in (1_500, 2_500, 3_000):
            progress.advance_to(step, {"train/loss": 99.0, "train/rate_nats": 1.0})
    assert capsys.readouterr().out.splitlines() == [
        "train 1500/10000: loss 99.00",
        "train 2500/10000: loss 99.00, 50 steps/s, 0:02:30 left",
        "train 3000/10000: loss 99.00, 50 steps/s, 0:02:20 left",
    ]


def test_members_side_by_side_are_not_counted_as_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Half a minute of compilation, and two members at a time, a minute each.
    set_times(monkeypatch, 90.0, 91.0, 150.0, 151.0, 210.0, 211.0)
    progress = terminal.ProgressReport("members", 2, 8, "members", side_by_side=2)
    with progress:
        for member in "abcdef":
            progress.advance_with_line(member)
    assert capsys.readouterr().out.splitlines() == [
        "a",
        "b",
        "c; 0:01:30 left",
        "d; 0:01:00 left",
        "e; 0:00:30 left",
        "f",
    ]


def test_words_of_a_user_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    words = "x[/b]y [beta=4] :smile:"
    terminal.say(words)
    terminal.print_results({words: words}, words)
    with terminal.ProgressReport(words, 0, 1, "steps") as progress:
        progress.advance_to(1, {})
    printed = capsys.readouterr().out
    assert printed.count(words) == 5


def test_results_that_are_not_finite_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nan = float("nan")
    lists = {"first": [nan, 1.0], "last": [1.0, nan], "fine": [1.0, 2.0]}
    terminal.print_results({"elbo": float("inf"), **lists}, "run")
    printed = capsys.readouterr().out
    assert printed.count("2 values, nan to nan") == 2
    assert "2 values, 1.000 to 2.000" in printed
    assert printed.splitlines()[-1] == "not a finite number: elbo, first, last"
    terminal.print_results({"fine": 1.0}, "run")
    assert "not a finite" not in capsys.readouterr().out


PRINTS_MUCH = """
from experiments import terminal
terminal.prepare_streams()
with terminal.ProgressReport("train", 0, 9_999, "steps") as progress:
    for _ in range(9_999):
        terminal.say("x" * 1_000)
        progress.advance(1)
terminal.fail(2, "y")
"""


def print_much(stream: int) -> int:
    command = [sys.executable, "-c", PRINTS_MUCH]
    return subprocess.run(
        command, check=False, cwd=ROOT, stdout=stream, stderr=stream, timeout=60
    ).returncode


@pytest.mark.slow
def test_an_output_that_nobody_reads_any_more_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w"), open("/dev/full", "w") as full:
        assert print_much(writer) == 0
        assert print_much(full.fileno()) == 0


def test_every_character_can_be_printed() -> None:
    command = "from experiments import terminal; terminal.prepare_streams()\n"
    command += "terminal.say('w\\udcff \\u00fc'); terminal.fail(2, 'w\\udcff \\u00fc')"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", command],
        check=True,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "w\\udcff \\xfc\n"
    assert done.stderr == "error: w\\udcff \\xfc\n"

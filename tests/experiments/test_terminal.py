"""What a person sees while a run goes on."""

import pytest

from experiments import terminal


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0:00:00"), (59.6, "0:01:00"), (3_723, "1:02:03")]
)
def test_durations(seconds: float, said: str) -> None:
    assert terminal.duration(seconds) == said


def test_pace_and_time_left_count_from_the_first_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A minute of compilation and a first call, then 50 steps a second.
    times = iter((60.0, 80.0, 90.0))
    monkeypatch.setattr(terminal.time, "perf_counter", lambda: next(times))
    with terminal.ProgressReport("train", 1_000, 10_000, "steps") as progress:
        for step in (1_500, 2_500, 3_000):
            progress.advance_to(step, {"train/loss": 99.0, "train/rate_nats": 1.0})
    assert capsys.readouterr().out.splitlines() == [
        "train 1500/10000: loss 99.00",
        "train 2500/10000: loss 99.00, 50 steps/s, 0:02:30 left",
        "train 3000/10000: loss 99.00, 50 steps/s, 0:02:20 left",
    ]

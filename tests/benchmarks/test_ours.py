import pytest

from benchmarks import (
    ours,
)
from tests.benchmarks.test_run import config_of


@pytest.mark.slow
def test_ours_are_what_a_launch_runs(monkeypatch) -> None:
    monkeypatch.setattr(ours, "MEMBERS", 2)
    config = config_of(**{"model.encoder.widths": (8,), "model.decoder.widths": (8,)})
    alone = ours.training(config, "ours")
    for contestant in (alone, ours.together(config), ours.in_turn(config)):
        contestant.run(3)
        contestant.run(12)  # more than a call has
    assert ours.likelihood_bound(config).per_unit == 100

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
    one_device = ours.together(config, 1, 1)  # where there are two
    one_device.run(3)
    bound, sizes = ours.likelihood_bound(config), []
    assert bound.per_unit == 100
    monkeypatch.setattr(
        ours, "evaluate_split", lambda trained, x, **how: sizes.append(x.size)
    )
    bound.run(12)  # more batches than there are test images
    assert sum(sizes) == 1200

import json
from pathlib import Path

from vae.training.loop import TrainPlan
from vae.training.metrics import MetricWriter


def test_calls_end_wherever_something_is_due() -> None:
    plan = TrainPlan(
        steps=50, steps_per_call=20, log_every=15, evaluate_every=0, checkpoint_every=25
    )
    ends = [end for _, end in plan.calls(0)]
    assert ends == [15, 20, 25, 30, 40, 45, 50]
    assert plan.calls(20) == [(20, 25), (25, 30), (30, 40), (40, 45), (45, 50)]
    assert [step for step in range(1, 51) if plan.is_logged(step)] == [15, 30, 45, 50]


def test_metrics_after_the_resumed_step_are_dropped(tmp_path: Path) -> None:
    writer = MetricWriter(tmp_path, resumed_step=0)
    for step in (10, 20, 30):
        writer.write(step, {"train/loss": float(step)})
    writer.close()
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 40, "tra')  # killed while writing
    writer = MetricWriter(tmp_path, resumed_step=20)
    writer.write(30, {"train/loss": 31.0})
    writer.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["step"], line["train/loss"]) for line in lines] == [
        (10, 10.0),
        (20, 20.0),
        (30, 31.0),
    ]

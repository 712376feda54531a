import json
import math
from pathlib import Path

from vae.training.metrics import MetricWriter, finite


def test_json_holds_none_in_place_of_what_is_not_finite() -> None:
    tree = {"a": [1.5, math.nan], "b": {"c": (-math.inf, 2)}, "d": "text"}
    expected = {"a": [1.5, None], "b": {"c": [None, 2]}, "d": "text"}
    assert finite(tree) == expected
    assert json.loads(json.dumps(finite(tree), allow_nan=False)) == expected


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

import json
import math
from pathlib import Path

from experiments import workdir
from vae.training.metrics import MetricWriter


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def test_numbers_that_are_not_finite_are_null_and_come_back_as_nan(
    tmp_path: Path,
) -> None:
    path = tmp_path / "results.json"
    value = {"a": float("nan"), "b": [1.0, float("inf")], "c": {"d": (-math.inf, 2)}}
    workdir.write_json(path, value)
    held = json.loads(path.read_text(), parse_constant=refuse)
    assert held == {"a": None, "b": [1.0, None], "c": {"d": [None, 2]}}
    back = workdir.read_json(path)
    assert math.isnan(back["a"]) and math.isnan(back["b"][1])


def test_metrics_are_json_whatever_they_are(tmp_path: Path) -> None:
    writer = MetricWriter(tmp_path, 0)
    writer.write(1, {"train/norm": float("inf"), "train/loss": 2.0})
    writer.close()
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    held = json.loads(line, parse_constant=refuse)
    assert held == {"step": 1, "train/norm": None, "train/loss": 2.0}

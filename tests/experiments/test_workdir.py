import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs import default
from experiments import workdir
from tests.conftest import ROOT
from vae.build import operative
from vae.data.options import ReadOptions, read_options
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


@pytest.mark.parametrize(
    ("name", "field", "value", "moved"),
    [
        ("images:a", "resize", (8,), "npz:b"),
        ("images:a", "skip_unreadable", True, "mnist_5k"),
        ("npz:a", "channels", "first", "images:b"),
        ("table:a", "column_kinds", ("b:count",), "npz:b"),
    ],
)
def test_data_of_another_kind_drop_the_options_of_the_old_kind(
    tmp_path: Path, name: str, field: str, value: object, moved: str
) -> None:
    config = default.get_config()
    config.dataset.name, config.dataset[field] = name, value
    workdir.write_json(tmp_path / "config.json", operative(config))
    own = ReadOptions()._replace(**{field: value})
    for given in (config, None):
        chosen = workdir.choose_config(tmp_path, given, moved)
        assert chosen.dataset.name == moved
        assert read_options(chosen) == ReadOptions()
        same_kind = workdir.choose_config(tmp_path, given, f"{name}/elsewhere")
        assert read_options(same_kind) == own
    config.evaluate.anomalies.source = name  # still uses the option
    assert read_options(workdir.choose_config(tmp_path, config, moved)) == own
    assert read_options(config) == own


NAMES = (b"a", "\u00fc".encode(), b"b\xff")
LISTS_NAMES = """
import sys
from pathlib import Path
from experiments import workdir
rows = [["name"], *([path.name] for path in sorted(Path(sys.argv[1]).iterdir()))]
workdir.write_csv(Path(sys.argv[2]), rows)
"""


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_of_files_are_written_in_any_locale(tmp_path: Path, locale: str) -> None:
    (tmp_path / "images").mkdir()
    for name in NAMES:
        (tmp_path / "images" / os.fsdecode(name)).touch()
    arguments = str(tmp_path / "images"), str(tmp_path / "list.csv")
    subprocess.run(
        [sys.executable, "-c", LISTS_NAMES, *arguments],
        check=True,
        cwd=ROOT,
        env={**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0"},
    )
    listed = (tmp_path / "list.csv").read_bytes().decode("utf-8")
    assert sorted(listed.split()) == sorted(["name", "a", "\u00fc", "b\\xff"])


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    workdir.write_csv(path, [["a"], [1]])

    def rows() -> Iterator[list[int]]:
        yield [2]
        raise OSError

    with pytest.raises(OSError):
        workdir.write_csv(path, rows())
    assert path.read_text() == "a\n1\n"

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu
from tests.conftest import ROOT
from vae.build import build


def test_a_part_that_fails_is_noted_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(scale):
        yield "divides", lambda: 1 / 0
        yield "rounds", lambda: scale[0]
        raise ValueError("no more")

    parts = {"mixed": rows, "works": gpu._only("rounds", lambda scale: scale[0])}
    monkeypatch.setattr(gpu, "PARTS", parts)
    monkeypatch.setenv("XLA_FLAGS", "")
    out = tmp_path / "new" / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu", "--smoke", f"--out={out}"])
    with pytest.raises(SystemExit) as end:
        gpu.main()
    assert end.value.code == 1
    measured = json.loads(out.read_text())
    assert measured["failed"] == {
        "mixed, divides": "ZeroDivisionError: division by zero",
        "mixed, rows": "ValueError: no more",
    }
    assert measured["mixed"] == measured["works"] == {"rounds": 1}


def test_ours_are_kept_if_pytorch_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_of_pytorch", lambda config: ["torch"])

    def best(makers, scale):
        if "torch" in makers:
            raise RuntimeError("no compiler")
        return {"ours": 3.0}

    monkeypatch.setattr(gpu, "_best", best)
    found = dict(gpu.alone(gpu.SMOKE))
    assert found.keys() == gpu.ROWS.keys()
    row = found["MLP 200, batch 100"]()
    assert row == {"ours": 3.0, "PyTorch failed": "RuntimeError: no compiler"}


def test_every_row_can_be_built() -> None:
    names = [name for name, _ in gpu._configs(gpu.FULL)]
    assert names == list(gpu.ROWS)
    assert gpu.POPULATIONS.keys() <= gpu.ROWS.keys()
    sizes = dict(gpu._configs(gpu.SMOKE))
    for config in sizes.values():
        build(config)
    # 784 -> 200 -> 200 -> 2 x 50, and 50 -> 200 -> 200 -> 784, with biases.
    layers = [(784, 200), (200, 200), (200, 100), (50, 200), (200, 200), (200, 784)]
    expected = sum((fan_in + 1) * fan_out for fan_in, fan_out in layers)
    assert gpu._num_parameters(sizes["MLP 200, batch 100"]) == expected


@pytest.mark.slow
def test_the_script_measures_launches(tmp_path: Path) -> None:
    """A second launch, and one that is stopped and goes on, give the same numbers."""
    out = tmp_path / "gpu.json"
    command = [ROOT / "benchmarks" / "gpu.sh", "--smoke", "--part=launches"]
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([*command, f"--out={out}"], env=environment, check=True)
    measured = json.loads(out.read_text())["launches"]["quickstart"]
    assert measured["second launch is equal"]
    assert measured["stopped and resumed is equal"]
    assert measured["warm"]["seconds"] > 0

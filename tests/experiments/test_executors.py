"""Members done by launches and by Ray have the results of those done by `members`."""

import importlib.util
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs import quickstart
from experiments import executors, members, sweep
from experiments.cells import identify
from experiments.flags import Chosen
from experiments.launches import Sweep
from tests.conftest import ROOT, launch_command, launch_environment
from tests.experiments.test_cells import cells_of
from tests.experiments.test_sweep import SWEEP_FLAGS, rows_of
from tests.helpers.launched import UNOPTIMISED
from vae.build import operative
from vae.training.checkpoint import SaveError

FILE = f"{ROOT}/configs/quickstart.py"


@pytest.fixture
def tiny() -> Any:
    config = quickstart.get_config("smoke")
    config.model.encoder.widths = config.model.decoder.widths = (16,)
    return config


def test_cells_are_listed_and_nothing_is_left(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    sweeps = "objective.beta=4", "seed=0,1"
    Sweep(config=Chosen(tiny, FILE), sweep=sweeps, print_only=True).launch()
    assert "cells: 2; compiled programs: 1" in capsys.readouterr().out
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_launched_members_have_the_results_of_those_in_turn(
    launch, tiny, tmp_path: Path, undrawn: None
) -> None:
    done = launch(
        "--experiment=sweep",
        f"--config={FILE}:smoke",
        "--config.model.encoder.widths=(16,)",
        "--config.model.decoder.widths=(16,)",
        "--sweep=objective.beta=4",
        "--executor=serial",
        "--workdir=serial",
        **UNOPTIMISED,
    )
    assert done.returncode == 0, done.stderr
    tiny.runtime.num_devices = 1
    sweep.run(cells_of(tiny, "objective.beta=4"), tmp_path / "map", executor="map")
    (launched,), (in_turn,) = (rows_of(tmp_path / name) for name in ("serial", "map"))
    # Of two devices and of four the member is one, on one of them.
    assert launched == in_turn


def test_an_evaluation_that_fails_stops_no_other_launch(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, told = cells_of(small_config, "seed=0,1,2"), []
    ends = iter([(1, "error: could not be computed: ais (no)"), (0, ""), (1, "full")])
    monkeypatch.setattr(executors, "_run_process", lambda command: next(ends))
    with pytest.raises(SaveError, match=f"member {cells[2].id}"):  # as by a full disk
        executors.execute(
            "serial", cells, tmp_path, lambda *one: told.append(one), address=""
        )
    (failed, error), (whole, none) = told
    assert (failed, whole, none) == (cells[0], cells[1], None)
    assert str(error) == "could not be computed: ais (no)"


def test_cells_are_dealt_evenly(small_config) -> None:
    cells = cells_of(small_config, "seed=0,1,2,3,4")
    shares = executors._deal(cells, 3)
    assert sorted(map(len, shares)) == [1, 2, 2]
    assert {cell.id for share in shares for cell in share} == {c.id for c in cells}
    assert len(executors._deal(cells, 9)) == 5
    assert executors.side_by_side("serial", cells) == 1
    assert executors.side_by_side("map", cells[:1]) == 1


def test_a_worker_says_what_befell_each_member(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its members arrive as plain trees, and go by the same names."""
    cells = cells_of(small_config, "seed=0,1")
    monkeypatch.setattr(
        members,
        "run_in_turn",
        lambda given, folder, report: [report(cell, None) for cell in given],
    )
    configs = [operative(cell.config) for cell in cells]
    told = executors._work_for_ray(configs, str(tmp_path))
    assert told == {cell.id: None for cell in cells}
    assert [identify(config) for config in configs] == [*told]


needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: requirements-ray.txt"
)


@needs_ray
@pytest.mark.slow
def test_ray_gives_the_same_table_whoever_dies(tmp_path: Path) -> None:
    def start(name: str, executor: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            launch_command(
                *SWEEP_FLAGS, f"--workdir={tmp_path / name}", f"--executor={executor}"
            ),
            env=launch_environment(**UNOPTIMISED),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(process: subprocess.Popen[str]) -> None:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors

    ray = start("ray", "ray")

    def workers() -> list[psutil.Process]:
        children = psutil.Process(ray.pid).children(recursive=True)
        return [p for p in children if any("_work_for_ray" in w for w in p.cmdline())]

    while not any((tmp_path / "ray").glob("members/*/checkpoints/[1-9]*")):
        assert ray.poll() is None
        time.sleep(0.005)
    workers()[0].kill()
    finish(ray)
    finish(start("map", "map"))
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "map")

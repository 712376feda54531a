"""A sweep: every cell equals the run launched alone, whatever befalls the others."""

import csv
import itertools
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest

from experiments import executors, members, sweep, train
from experiments.cells import Cell
from experiments.program import make_program
from tests.conftest import ROOT
from tests.experiments.test_cells import cells_of
from tests.experiments.test_interrupt import outcome
from tests.helpers.launched import UNOPTIMISED, Launched, forks
from vae.build import build
from vae.training.checkpoint import saved_steps

PRODUCT = ("objective.beta=1,4", "model.latent_dim=2,5,16", "seed=0,1")
MEASURED = re.compile("train/(seconds|steps_per|data_wait|checkpoint_share|peak)")


pytestmark = pytest.mark.usefixtures("undrawn")


def rows_of(folder: Path) -> list[dict[str, str]]:
    """The rows of results.csv without what is measured in seconds and bytes."""
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not MEASURED.match(k)} for row in rows]


@pytest.mark.slow
def test_members_equal_their_solo_runs_and_share_one_program(
    small_config, tmp_path: Path, compilations, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = cells_of(small_config, *PRODUCT)
    sweep.run(cells, tmp_path / "sweep", executor="map")
    assert compilations("call") == compilations("evaluate_batch") == 1
    assert len(rows_of(tmp_path / "sweep")) == len(cells) == 12
    compiled = make_program(build(cells[3].config))  # by itself, and once for both
    monkeypatch.setattr(train, "make_program", lambda experiment: compiled)
    for cell in (cells[3], cells[-1]):
        alone = tmp_path / cell.id
        train.run(cell.config, alone)
        assert outcome(alone) == outcome(members.folder_of(cell, tmp_path / "sweep"))


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["map", "vmap"])
@pytest.mark.usefixtures("bounds_only")
def test_a_diverged_member_harms_no_other(
    small_config, tmp_path: Path, executor: str
) -> None:
    cells = cells_of(small_config, "optimizer.learning_rate=1e-3,1e6,2e-3")
    sweep.run(cells, tmp_path / "all", executor=executor)
    rows = rows_of(tmp_path / "all")
    assert [row["status"] for row in rows] == ["done", "diverged", "done"]
    assert rows[1]["test/elbo_nats"] == ""
    # The others are as without it; together, as three of them without it.
    without = "1e-3,2e-3" if executor == "map" else "1e-3,3e-3,2e-3"
    cells = cells_of(small_config, f"optimizer.learning_rate={without}")
    sweep.run(cells, tmp_path / "sane", executor=executor)
    sane = rows_of(tmp_path / "sane")
    assert [sane[0], sane[-1]] == rows[::2]


@pytest.mark.slow
@pytest.mark.usefixtures("bounds_only")
def test_a_larger_sweep_computes_the_new_cells_only(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep.run(cells_of(small_config, "objective.beta=1,4"), tmp_path, executor="map")
    asked: list[Cell] = []
    execute = executors.execute

    def spy(name: str, cells: list[Cell], *rest: Any, **kwargs: Any) -> None:
        asked.extend(cells)
        execute(name, cells, *rest, **kwargs)

    monkeypatch.setattr(executors, "execute", spy)
    sweep.run(cells_of(small_config, "objective.beta=1,2,4"), tmp_path, executor="map")
    assert [cell.overrides for cell in asked] == [{"objective.beta": 2.0}]
    assert [row["objective.beta"] for row in rows_of(tmp_path)] == ["1.0", "2.0", "4.0"]


SWEEP_FLAGS = [
    "--experiment=sweep",
    f"--config={ROOT}/configs/quickstart.py",
    "--config.train.steps=200",
    "--config.train.log_every=50",
    "--config.runtime.steps_per_call=25",
    "--config.runtime.checkpoint_every=50",
    "--config.model.encoder.widths=(16,)",
    "--config.model.decoder.widths=(16,)",
    "--config.evaluate.bounds.importance_samples=3",
    "--sweep=objective.beta=1,4",
    "--sweep=seed=0,1",
    "--workdir=sweep",
]


def finish(started: Launched) -> None:
    status, _, errors = started.wait()
    assert status == 0, errors


@pytest.mark.slow
def test_killed_at_three_moments_it_gives_the_same_table(tmp_path: Path) -> None:
    seed = time.time_ns()
    print(f"moments drawn with seed {seed}")
    moments, folder = random.Random(seed), tmp_path / "killed/sweep"

    def saved(count: int) -> bool:
        places = (folder / "members").glob("*")
        return sum(len(saved_steps(place)) for place in places) >= count

    with forks(**UNOPTIMISED) as start:
        finish(start(tmp_path / "whole", *SWEEP_FLAGS))
        for count in itertools.accumulate(moments.choices((2, 3, 4), k=3)):
            process = start(tmp_path / "killed", *SWEEP_FLAGS)
            process.wait_for(lambda count=count: saved(count))
            time.sleep(moments.uniform(0, 0.1))
            process.kill()
        finish(start(tmp_path / "killed", *SWEEP_FLAGS))
    assert rows_of(folder) == rows_of(tmp_path / "whole/sweep")

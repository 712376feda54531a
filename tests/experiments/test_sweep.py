"""A sweep: every cell equals the run launched alone, whatever befalls the others."""

import csv
import importlib.util
import itertools
import os
import random
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import psutil
import pytest

from experiments import executors, members, origin, plots, sweep, train
from experiments.cells import Cell
from experiments.program import Program, make_program
from experiments.runs import restore_carry
from tests.conftest import ROOT, launch_command, launch_environment
from tests.experiments.test_cells import cells_of
from tests.experiments.test_interrupt import outcome, wait_for
from vae.training.checkpoint import saved_steps
from vae.training.loop import Interrupted
from vae.training.state import Carry

PRODUCT = ("objective.beta=1,4", "model.latent_dim=2,5,16", "seed=0,1")
MEASURED = re.compile("train/(seconds|steps_per|data_wait|checkpoint_share|peak)")


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take two seconds a sweep, and have a test of their own: `test_report`."""
    monkeypatch.setattr(plots, "draw_all", lambda summary, swept, samples: [])


def rows_of(folder: Path) -> list[dict[str, str]]:
    """The rows of results.csv without what is measured in seconds and bytes."""
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not MEASURED.match(k)} for row in rows]


def test_members_equal_their_solo_runs_and_share_one_program(
    small_config, tmp_path: Path, compilations
) -> None:
    cells = cells_of(small_config, *PRODUCT)
    sweep.run(cells, tmp_path / "sweep", executor="map")
    assert compilations("call") == compilations("evaluate_batch") == 1
    assert len(rows_of(tmp_path / "sweep")) == len(cells) == 12
    for cell in (cells[3], cells[-1]):
        alone = tmp_path / cell.id
        train.run(cell.config, alone)
        assert outcome(alone) == outcome(members.folder_of(cell, tmp_path / "sweep"))


def final_params(folder: Path, cells: list[Cell]) -> list[np.ndarray]:
    """The trained parameters of each member, as one vector."""
    vectors = []
    for cell in cells:
        experiment = members.build(cell.config)
        program = make_program(experiment)
        place = members.folder_of(cell, folder)
        carry = program.initialize(experiment)
        restored = restore_carry(train.Checkpointer(place), carry)
        assert restored is not None
        leaves = jax.tree.leaves(restored.tree[0].params)
        vectors.append(np.concatenate([np.ravel(leaf) for leaf in leaves]))
    return vectors


def test_together_they_agree_with_in_turn_in_float64(
    small_config, tmp_path: Path
) -> None:
    small_config.precision = "float64"
    small_config.train.steps = small_config.runtime.checkpoint_every = 50
    cells = cells_of(small_config, "objective.beta=4", "model.latent_dim=2,5")
    for executor in ("map", "vmap"):
        sweep.run(cells, tmp_path / executor, executor=executor)
    in_turn, together = (final_params(tmp_path / e, cells) for e in ("map", "vmap"))
    for left, right in zip(in_turn, together, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)


def test_together_they_differ_by_rounding_only_in_float32(
    small_config, tmp_path: Path
) -> None:
    """Rounding, amplified by Adam: without bias, and less than two seeds differ."""
    small_config.train.steps = small_config.runtime.checkpoint_every = 100
    cells = cells_of(small_config, "seed=0,1,2,3")
    for executor in ("map", "vmap"):
        sweep.run(cells, tmp_path / executor, executor=executor)
    in_turn, together = (
        np.array([float(row["test/elbo_nats"]) for row in rows_of(tmp_path / e)])
        for e in ("map", "vmap")
    )
    differences = together - in_turn
    error = differences.std(ddof=1) / np.sqrt(len(cells))
    assert abs(differences.mean()) < 4 * error + 1e-4
    assert abs(differences).max() < in_turn.std(ddof=1)


def test_together_from_different_steps_streaming_in_little_memory(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_config.runtime.pipeline = "stream"
    small_config.runtime.steps_per_call = 5
    cells = cells_of(small_config, "seed=0,1,2,3,4")
    sweep.run(cells, tmp_path / "map", executor="map")
    folder = tmp_path / "vmap"
    with monkeypatch.context() as patch:
        patch.setattr(train, "_make_should_stop", lambda stop: lambda step: step >= 5)
        with pytest.raises(Interrupted):
            train.run(cells[1].config, members.folder_of(cells[1], folder))
    widths = []
    advance = Program.advance

    def spy(program: Program, carry: Carry, *rest: Any) -> Carry:
        widths.append(len(carry[0].seed))
        return advance(program, carry, *rest)

    monkeypatch.setattr(Program, "advance", spy)
    needed = iter((10, 3))  # bytes: too many for four members, not for two
    monkeypatch.setattr(members, "_memory_needed", lambda compiled: next(needed))
    monkeypatch.setattr(members, "_free_memory", lambda: 10)
    sweep.run(cells, folder, executor="vmap")
    assert set(widths) == {2}
    for row, other in zip(rows_of(tmp_path / "map"), rows_of(folder), strict=True):
        nats = [float(r["test/elbo_nats"]) for r in (row, other)]
        np.testing.assert_allclose(*nats, rtol=1e-4)


def test_a_diverged_member_harms_no_other(small_config, tmp_path: Path) -> None:
    for executor in ("map", "vmap"):
        folder = tmp_path / executor
        cells = cells_of(small_config, "optimizer.learning_rate=1e-3,1e6,2e-3")
        sweep.run(cells, folder, executor=executor)
        rows = rows_of(folder)
        assert [row["status"] for row in rows] == ["done", "diverged", "done"]
        assert rows[1]["test/elbo_nats"] == ""
        # The others are as without it; together, as three of them without it.
        sane = tmp_path / f"{executor}_sane"
        without = "1e-3,2e-3" if executor == "map" else "1e-3,3e-3,2e-3"
        cells = cells_of(small_config, f"optimizer.learning_rate={without}")
        sweep.run(cells, sane, executor=executor)
        assert [rows_of(sane)[0], rows_of(sane)[-1]] == rows[::2]


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


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="no core can be withheld here"
)
def test_cores_count_if_they_may_be_used() -> None:
    """With more devices than cores a member would differ from its launch in bits."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert origin.cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert origin.cores() == len(allowed)


def test_the_command_line(launch, tmp_path: Path) -> None:
    flags = (
        "--experiment=sweep",
        f"--config={ROOT}/configs/quickstart.py:smoke",
        "--sweep=objective.beta=4",
    )
    listed = launch(*flags, "--sweep=seed=0,1", "--print_only")
    assert listed.returncode == 0, listed.stderr
    assert "cells: 2; compiled programs: 1" in listed.stdout
    assert not (tmp_path / "runs").exists()
    unoptimised = {"XLA_FLAGS": os.environ["XLA_FLAGS"]}  # as these tests are
    done = launch(*flags, "--executor=serial", "--workdir=serial", **unoptimised)
    assert done.returncode == 0, done.stderr
    in_turn = launch(*flags, "--workdir=map", **unoptimised)
    assert in_turn.returncode == 0, in_turn.stderr
    assert rows_of(tmp_path / "serial") == rows_of(tmp_path / "map")


SWEEP_FLAGS = [
    "--experiment=sweep",
    f"--config={ROOT}/configs/quickstart.py",
    "--config.train.steps=400",
    "--config.train.log_every=100",
    "--config.runtime.steps_per_call=50",
    "--config.runtime.checkpoint_every=100",
    "--config.model.encoder.widths=(64,)",
    "--config.model.decoder.widths=(64,)",
    "--config.evaluate.bounds.importance_samples=20",
    "--sweep=objective.beta=1,4",
    "--sweep=seed=0,1",
]


def start_sweep(folder: Path, *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        launch_command(*SWEEP_FLAGS, f"--workdir={folder}", *flags),
        env=launch_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish_sweep(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors


@pytest.mark.slow
def test_killed_at_three_moments_it_gives_the_same_table(tmp_path: Path) -> None:
    finish_sweep(start_sweep(tmp_path / "whole"))
    seed = time.time_ns()
    print(f"moments drawn with seed {seed}")
    moments, folder = random.Random(seed), tmp_path / "killed"

    def saved(count: int) -> bool:
        places = (folder / "members").glob("*")
        return sum(len(saved_steps(place)) for place in places) >= count

    for count in itertools.accumulate(moments.choices((2, 3, 4), k=3)):
        process = start_sweep(folder)
        wait_for(lambda count=count: saved(count), process)
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.communicate()
    finish_sweep(start_sweep(folder))
    assert rows_of(folder) == rows_of(tmp_path / "whole")


needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: requirements-ray.txt"
)


@needs_ray
@pytest.mark.slow
def test_ray_gives_the_same_table_whoever_dies(tmp_path: Path) -> None:
    ray = start_sweep(tmp_path / "ray", "--executor=ray")

    def workers() -> list[psutil.Process]:
        children = psutil.Process(ray.pid).children(recursive=True)
        return [p for p in children if any("_work_for_ray" in w for w in p.cmdline())]

    wait_for(lambda: any((tmp_path / "ray").glob("members/*/checkpoints/[1-9]*")), ray)
    workers()[0].kill()
    finish_sweep(ray)
    finish_sweep(start_sweep(tmp_path / "map"))
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "map")

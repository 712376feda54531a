"""Members of a sweep: by which programs, on which devices, and what stops them."""

import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import jax
import numpy as np
import pytest

from experiments import executors, members, sweep, train, workdir
from experiments.cells import Cell
from experiments.program import Program
from tests.experiments.test_cells import cells_of
from tests.experiments.test_interrupt import outcome, saved
from tests.experiments.test_sweep import rows_of
from tests.experiments.test_train import without_measurements
from vae.training.checkpoint import SaveError
from vae.training.loop import Interrupted
from vae.training.state import Carry
from vae.types import UserError

pytestmark = pytest.mark.usefixtures("undrawn")


def final_params(folder: Path, cells: list[Cell]) -> list[np.ndarray]:
    """The trained parameters of each member, as one vector."""
    vectors = []
    for cell in cells:
        params = saved(members.folder_of(cell, folder))["state"][0]["params"]
        leaves = jax.tree.leaves(params)
        vectors.append(np.concatenate([np.ravel(leaf) for leaf in leaves]))
    return vectors


@pytest.mark.slow
def test_together_they_agree_with_in_turn_in_float64(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "evaluate_and_report", lambda *_, **__: None)
    small_config.precision = "float64"
    small_config.train.steps = small_config.runtime.checkpoint_every = 50
    note = Mock()
    cells = cells_of(small_config, "objective.beta=4", "model.latent_dim=2,5")
    for executor in ("map", "vmap"):
        executors.execute(executor, cells, tmp_path / executor, note, address="")
    in_turn, together = (final_params(tmp_path / e, cells) for e in ("map", "vmap"))
    for left, right in zip(in_turn, together, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)
    assert note.mock_calls == [call(cell, None) for cell in cells] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("bounds_only")
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


@pytest.mark.slow
@pytest.mark.usefixtures("bounds_only")
def test_together_from_different_steps_streaming_in_little_memory(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_config.runtime.pipeline = "stream"
    small_config.runtime.steps_per_call = 5
    cells = cells_of(small_config, "seed=0,1,2")
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
    needed = iter((10, 3))  # bytes: too many for three members, not for two
    monkeypatch.setattr(members, "_memory_needed", lambda compiled: next(needed))
    monkeypatch.setattr(members, "_free_memory", lambda: 10)
    sweep.run(cells, folder, executor="vmap")
    assert set(widths) == {2}
    for row, other in zip(rows_of(tmp_path / "map"), rows_of(folder), strict=True):
        nats = [float(r["test/elbo_nats"]) for r in (row, other)]
        np.testing.assert_allclose(*nats, rtol=1e-4)


@pytest.mark.slow
def test_devices_share_the_members(small_config, tmp_path: Path) -> None:
    tables = []
    for num_devices, executor in ((1, "map"), (2, "map"), (2, "vmap")):
        small_config.runtime.num_devices = num_devices
        is_streamed = executor == "vmap"  # which changes no number
        small_config.runtime.pipeline = "stream" if is_streamed else "resident"
        folder = tmp_path / f"{executor}{num_devices}"
        cells = cells_of(small_config, "objective.beta=1,4,2")
        sweep.run(cells, folder, executor=executor)
        tables.append(rows_of(folder))
    assert tables[0] == tables[1]
    for row, other in zip(tables[0], tables[2], strict=True):
        assert row["id"] == other["id"]
        nats = [float(r["test/elbo_nats"]) for r in (row, other)]
        np.testing.assert_allclose(*nats, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("bounds_only")
def test_programs_work_side_by_side_where_they_are_alike_in_precision(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_programs: None
) -> None:
    small_config.runtime.num_devices = 2
    small_config.runtime.parallel = "jit"
    widths = "model.encoder.widths=(8,),(12,)"
    cells = cells_of(small_config, widths, "precision=float32,float64")
    both, do = threading.Barrier(2, timeout=60), members._do_population

    def meet(cells: list[Cell], *rest: Any, **how: Any) -> Any:
        both.wait()  # fails unless a member of the other program is here, too
        is_double = cells[0].config.precision == "float64"
        assert jax.config.jax_enable_x64 == is_double
        return do(cells, *rest, **how)

    with monkeypatch.context() as patch:
        patch.setattr(members, "_do_population", meet)
        sweep.run(cells, tmp_path / "sweep", executor="map")
    for cell in (cells[0], cells[-1]):
        cell.config.runtime.num_devices = 1
        train.run(cell.config, tmp_path / cell.id)
        alone = outcome(tmp_path / cell.id)
        assert alone == outcome(members.folder_of(cell, tmp_path / "sweep"))


def test_each_note_on_the_cells_is_said_once(
    small_config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    np.savez(tmp_path / "grey.npz", x_train=grey, x_test=grey[:10])
    small_config.dataset.name = f"npz:{tmp_path}/grey.npz"
    cells = cells_of(small_config, "objective.num_samples=1,2", "seed=0,1")
    assert len(members.group_by_program(cells)) == 2
    sweep.print_cells(cells, executor="map")
    assert capsys.readouterr().out.count("shades of grey") == 1
    said: set[str] = set()
    for cell in cells:  # as the rows of a table
        members.check([cell], alone=False, said=said)
    assert capsys.readouterr().out.count("shades of grey") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("bounds_only")
def test_a_full_disk_stops_all_members(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_config.runtime.num_devices = 2
    cells = cells_of(small_config, "seed=0,1,2,3,4,5")
    begun = []

    def check(place: Path, *rest: Any) -> None:
        begun.append(place.name)
        if place.name == cells[0].id:
            raise SaveError("the disk is full")

    monkeypatch.setattr(workdir, "check", check)
    with pytest.raises(SaveError, match="full"):
        sweep.run(cells, tmp_path, executor="map")
    assert len(begun) <= 2  # none but those that had begun already
    assert not [*tmp_path.glob("members/*/results.json")]


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["map", "vmap", "serial"])
@pytest.mark.usefixtures("bounds_only")
def test_a_member_whose_folder_is_in_use_stops_no_other(
    small_config, tmp_path: Path, executor: str
) -> None:
    cells = cells_of(small_config, "seed=0,1")
    in_use = members.folder_of(cells[0], tmp_path)
    with (
        workdir.locked(in_use),
        pytest.raises(UserError, match="1 of 2 members could not be done.* in use by"),
    ):
        sweep.run(cells, tmp_path, executor=executor)
    (done,) = tmp_path.glob("members/*/results.json")
    assert done.parent.name == cells[1].id
    sweep.run(cells, tmp_path, executor="map")
    assert [row["status"] for row in rows_of(tmp_path)] == ["done"] * 2


@pytest.mark.slow
def test_a_member_is_continued_by_its_folder(small_config, tmp_path: Path) -> None:
    cells = cells_of(small_config, "seed=3")
    sweep.run(cells, tmp_path, executor="map")
    place = members.folder_of(cells[0], tmp_path)
    before = workdir.read_json(place / "results.json")
    (place / "results.json").unlink()
    train.run(None, place)
    after = workdir.read_json(place / "results.json")
    assert without_measurements(after) == without_measurements(before)

"""Which members of a folder a sweep reports on."""

from pathlib import Path

import pytest

from experiments import members, sweep, workdir
from experiments.cells import Cell
from tests.experiments.test_cells import cells_of
from vae.build import operative


def leave(cell: Cell, folder: Path, results: dict[str, float]) -> None:
    """Writes the folder of a member that is done, or if there are no results, begun."""
    place = members.folder_of(cell, folder)
    place.mkdir(parents=True)
    workdir.write_json(place / "config.json", operative(cell.config))
    launches = [{"git_commit": "0", "device": "1 x cpu"}]
    told = {"data_sha256": "0", "launches": launches}
    workdir.write_json(place / "provenance.json", told)
    if results:
        workdir.write_json(place / "results.json", results)


def test_the_report_shows_what_other_launches_have_left(
    small_config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    nats = {"test/elbo_nats": -1.0, "test/nll_is3_nats": 1.0}
    launched = cells_of(small_config, "objective.beta=1,4")
    before = cells_of(small_config, "train.steps=30,40", "seed=0,1")
    for cell in (*launched, *before[:3]):
        leave(cell, tmp_path, nats)
    leave(before[3], tmp_path, {})
    (tmp_path / "members" / "empty").mkdir()
    rows = sweep._write_report(launched, tmp_path)
    shown = [(row["objective.beta"], row["train.steps"], row["seed"]) for row in rows]
    assert shown == [
        (1.0, 20, 0),
        (4.0, 20, 0),
        (1.0, 30, 0),
        (1.0, 40, 0),
        (1.0, 30, 1),
    ]
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 6
    told = "1 not done, 1 without a readable config.json"
    assert f"members left out of the report: {told}" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert f"Left out: {told}." in page
    assert f'href="members/{before[0].id}/"' in page

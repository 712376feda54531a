"""Which members of a folder a sweep reports on."""

import csv
from pathlib import Path
from typing import Any

import pytest

from experiments import members, sweep, workdir
from experiments.cells import Cell
from tests.experiments.test_cells import cells_of
from vae.build import operative


def leave(
    cell: Cell, folder: Path, results: dict[str, Any], data_hash: str = "0"
) -> None:
    """Writes the folder of a member that is done, or if there are no results, begun.
    As in a real run, the config says what "auto" stands for."""
    place = members.folder_of(cell, folder)
    place.mkdir(parents=True)
    config = cell.config.copy_and_resolve_references()
    if config.dataset.binarize == "auto":
        is_binary = config.model.likelihood.name == "bernoulli"
        config.dataset.binarize = "dynamic" if is_binary else "none"
    workdir.write_json(place / "config.json", operative(config))
    launches = [{"git_commit": "0", "device": "1 x cpu"}]
    told = {"data_sha256": data_hash, "launches": launches}
    workdir.write_json(place / "provenance.json", told)
    if results:
        results = {"train/steps": config.train.steps, **results}
        workdir.write_json(place / "results.json", results)


NATS = {"test/elbo_nats": -1.0, "test/nll_is3_nats": 1.0, "collapse": "none"}


def summary_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open() as file:
        return [*csv.DictReader(file)]


def test_seeds_of_two_launches_are_averaged_though_the_data_have_moved(
    small_config, tmp_path: Path
) -> None:
    before = cells_of(small_config, "seed=0,1")
    small_config.dataset.name = "npz:moved.npz"
    small_config.dataset.resize = (28, 28)
    launched = cells_of(small_config, "seed=2,3")
    for cell in (*before, *launched):
        leave(cell, tmp_path, NATS)
    rows = sweep._write_report(launched, tmp_path)
    assert [row["seed"] for row in rows] == [2, 3, 0, 1]
    assert {row["dataset.binarize"] for row in rows} == {"dynamic"}
    (cell,) = summary_of(tmp_path)
    assert (cell["seeds"], cell["comparable"]) == ("4", "A")
    assert not {"dataset.binarize", "dataset.name", "dataset.resize"} & cell.keys()


def test_data_are_swept_if_the_launch_says_so_and_else_told_apart_by_hash(
    small_config, tmp_path: Path
) -> None:
    launched = cells_of(small_config, "dataset.name=mnist_5k,mnist")
    for cell, data_hash in zip(launched, "01", strict=True):
        leave(cell, tmp_path, NATS, data_hash)
    sweep._write_report(launched, tmp_path)
    found = [(c["dataset.name"], c["comparable"]) for c in summary_of(tmp_path)]
    assert found == [("mnist_5k", "A"), ("mnist", "B")]
    sweep._write_report(cells_of(small_config, "seed=0"), tmp_path)
    found = [(c.get("dataset.name"), c["comparable"]) for c in summary_of(tmp_path)]
    assert found == [(None, "A"), (None, "B")]


def test_each_likelihood_has_the_binarisation_that_it_was_trained_with(
    small_config, tmp_path: Path
) -> None:
    likelihoods = "model.likelihood.name=bernoulli,gaussian"
    launched = cells_of(small_config, likelihoods)
    for cell in launched:
        leave(cell, tmp_path, NATS)
    rows = sweep._write_report(launched, tmp_path)
    assert [row["dataset.binarize"] for row in rows] == ["dynamic", "none"]


def test_what_is_evaluated_is_what_the_launch_asks_for(
    small_config, tmp_path: Path
) -> None:
    launched = cells_of(small_config, "seed=0,1")
    leave(launched[0], tmp_path, NATS)
    small_config.evaluate.bounds.importance_samples = 5
    leave(cells_of(small_config, "seed=1")[0], tmp_path, NATS)  # with 3 and, later, 5
    rows = sweep._write_report(launched, tmp_path)
    assert [row["evaluate.bounds.importance_samples"] for row in rows] == [3, 3]


def test_the_report_shows_what_other_launches_have_left(
    small_config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    launched = cells_of(small_config, "objective.beta=1,4")
    before = cells_of(small_config, "train.steps=30,40", "seed=0,1")
    for cell in (*launched, *before[:3]):
        leave(cell, tmp_path, NATS)
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

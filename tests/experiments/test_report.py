"""What a sweep's tables and page say, and of which members of its folder."""

import base64
import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import members, report, sweep, workdir
from experiments.cells import Cell
from tests.experiments.test_cells import cells_of
from vae.build import operative


def row(beta: float, seed: int, nll: float, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"{beta}-{seed}",
        "status": "done",
        "objective.beta": beta,
        "seed": seed,
        "test/nll_is5_nats": nll,
        "test/elbo_nats": -nll - 1,
        "test/rate_nats": 20.0 / beta,
        "test/distortion_nats": nll + 1 - 20.0 / beta,
        "latent/active_units": 2,
        "latent/kl_per_dim": [0.1, 3.0 / beta],
        "latent/rate_per_group_nats": [0.5, 2.0],
        "dataset.name": "mnist_5k",
        "dataset.binarize": "dynamic",
        "data_sha256": "0",
        "model.likelihood.name": "bernoulli",
        "evaluate.bounds.importance_samples": 5,
        "precision": "float32",
        "objective.name": "beta_vae",
        "git_commit": "0",
        "device": "1 x cpu",
        **changes,
    }


DIVERGED = {"id": "bad", "status": "diverged", "objective.beta": 4.0, "seed": 2}
KEPT = ("dataset.name", *report.ALIKE, "objective.name", "git_commit", "device")
ROWS = [row(1.0, 0, 100.0), row(1.0, 1, 104.0), row(4.0, 0, 110.0)]
ROWS.append(DIVERGED | {name: ROWS[0][name] for name in KEPT})


def test_a_cell_is_the_mean_of_its_seeds_with_standard_error(tmp_path: Path) -> None:
    report.write(ROWS, ["objective.beta"], tmp_path)
    with (tmp_path / "summary.csv").open() as file:
        first, second = csv.DictReader(file)
    assert float(first["test/nll_is5_nats"]) == 102.0
    # Two values 4 apart: their deviation is sqrt(8), of the mean 2.
    np.testing.assert_allclose(float(first["test/nll_is5_nats +-"]), 2.0)
    assert first["latent/kl_per_dim"] == "[3.0, 0.1]"
    assert first["latent/rate_per_group_nats"] == "[0.5, 2.0]"
    assert (second["seeds"], second["diverged"]) == ("2", "1")
    assert second["test/nll_is5_nats +-"] == ""  # of one seed nothing is known


def test_rows_of_other_data_are_told_apart() -> None:
    groups = report.comparable_groups(
        [
            row(1.0, 0, 100.0),
            row(4.0, 0, 110.0),
            row(1.0, 0, 90.0, **{"dataset.binarize": "static"}),
            row(1.0, 0, 90.0, **{"evaluate.bounds.importance_samples": 50}),
            row(1.0, 1, 100.0, **{"dataset.name": "npz:moved.npz"}),
            row(1.0, 0, 100.0, **{"data_sha256": "1"}),
        ]
    )
    assert groups == ["A", "A", "B", "C", "A", "D"]


def test_the_page_is_one_file_and_holds_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["launch.py", "<this>"])
    rows = [*ROWS, row(1.0, 0, 90.0, **{"dataset.binarize": "static"})]
    rows.append(row(1.0, 0, 80.0, **{"dataset.name": "mnist", "data_sha256": "1"}))
    report.write(rows, ["objective.beta"], tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "python launch.py &#39;&lt;this&gt;&#39;" in page
    assert not any(f'{attribute}="http' in page for attribute in ("src", "href"))
    assert page.count("<svg") == 7  # the plane, five metrics, one heat map
    told = "dataset.name=mnist_5k, dataset.binarize=static, data_sha256=0"
    assert f"<b>B</b>: {told}" in page
    told = "dataset.name=mnist, dataset.binarize=dynamic, data_sha256=1"
    assert f"<b>C</b>: {told}" in page
    assert '<a href="members/bad/">2</a> (diverged)' in page


def test_a_number_that_is_not_finite_is_named_and_shown(tmp_path: Path) -> None:
    rows = [row(1.0, 0, np.nan), row(4.0, 0, 110.0)]
    report.write(rows, ["objective.beta"], tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "Not a finite number" in page
    assert "test/nll_is5_nats (1 of 2 members)" in page
    assert '<td data-value="nan">nan</td>' in page
    assert '<td data-value="2.0">2</td>' in page  # units are whole
    with (tmp_path / "results.csv").open() as file:
        assert next(csv.DictReader(file))["test/nll_is5_nats"] == "nan"


def test_standard_errors_are_spoken_of_where_there_are_some(tmp_path: Path) -> None:
    for rows, count in ((ROWS[:2], 2), ([ROWS[0], ROWS[2]], 1)):
        report.write(rows, ["objective.beta"], tmp_path)
        page = (tmp_path / "report.html").read_text()
        assert ("bars are standard errors" in page) == (count > 1)
        assert ("each value is of one seed" in page) == (count == 1)


def test_the_page_says_what_it_leaves_out(tmp_path: Path) -> None:
    report.write(ROWS, ["objective.beta"], tmp_path)
    assert "Left out" not in (tmp_path / "report.html").read_text()
    report.write(ROWS, [], tmp_path, launched=1, left_out=["2 not done"])
    page = " ".join((tmp_path / "report.html").read_text().split())
    assert "more members than this launch asked for (1)" in page
    assert "Left out: 2 not done." in page


def test_pictures_are_whole_and_named(tmp_path: Path) -> None:
    images = tmp_path / "members" / ROWS[0]["id"] / "images"
    images.mkdir(parents=True)
    for name in report.PICTURES:
        Image.new("L", (40, 6)).save(images / f"{name}.png")
    report.write(ROWS[:1], ["objective.beta"], tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "decoded means p(x | z) of codes drawn from the prior" in page
    assert page.count('alt="') == 2 and 'alt=""' not in page
    url = report._embed(images / "samples.png").partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(url))) as picture:
        assert picture.size == (40, 6)


def test_seeds_alone_have_a_page_too(tmp_path: Path) -> None:
    report.write(ROWS[:2], [], tmp_path)
    assert (tmp_path / "report.html").read_text().count("<svg") == 1


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


def test_a_seed_trained_again_on_moved_data_counts_once(
    small_config, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    before = cells_of(small_config, "seed=0,1,2")
    for cell, data_hash in zip(before, "001", strict=True):
        leave(cell, tmp_path, NATS, data_hash)
    small_config.dataset.name = "npz:moved.npz"
    launched = cells_of(small_config, "seed=0,1,2")
    for cell in launched:
        leave(cell, tmp_path, NATS, "0")
    rows = sweep._write_report(launched, tmp_path)
    assert [row["seed"] for row in rows] == [0, 1, 2, 2]  # seed 2 was of other data
    assert [cell["seeds"] for cell in summary_of(tmp_path)] == ["3", "1"]
    assert "2 with the training of another" in capsys.readouterr().out


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

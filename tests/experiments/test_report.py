"""What a sweep's tables and page say."""

import base64
import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import plots, report


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
    assert "python launch.py &lt;this&gt;" in page
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


def test_infinite_scores_have_a_histogram(tmp_path: Path) -> None:
    for anomalous in ([np.inf, 1.0], [np.inf]):
        path = tmp_path / "scores.png"
        scores = np.array(anomalous)
        plots.save_histogram(path, np.array([0.0, 0.5]), scores, label="a")
        assert path.exists()


def test_seeds_alone_have_a_page_too(tmp_path: Path) -> None:
    report.write(ROWS[:2], [], tmp_path)
    assert (tmp_path / "report.html").read_text().count("<svg") == 1

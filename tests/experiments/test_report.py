"""What a sweep's tables and page say."""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import report


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
        "evaluate.importance_samples": 5,
        "precision": "float32",
        "objective.name": "beta_vae",
        "git_commit": "0",
        "device": "1 x cpu",
        **changes,
    }


DIVERGED = {"id": "bad", "status": "diverged", "objective.beta": 4.0, "seed": 2}
KEPT = (*report.ALIKE, "objective.name", "git_commit", "device")
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
            row(1.0, 0, 90.0, **{"evaluate.importance_samples": 50}),
        ]
    )
    assert groups == ["A", "A", "B", "C"]


def test_the_page_is_one_file_and_holds_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["launch.py", "<this>"])
    rows = [*ROWS, row(1.0, 0, 90.0, **{"dataset.binarize": "static"})]
    report.write(rows, ["objective.beta"], tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "python launch.py &lt;this&gt;" in page
    assert not any(f'{attribute}="http' in page for attribute in ("src", "href"))
    assert page.count("<svg") == 7  # the plane, five metrics, one heat map
    assert "<b>B</b>: dataset.binarize=static" in page
    assert "1 diverged" in page


def test_seeds_alone_have_a_page_too(tmp_path: Path) -> None:
    report.write(ROWS[:2], [], tmp_path)
    assert (tmp_path / "report.html").read_text().count("<svg") == 1

"""The figures of a sweep: which there are, and of what."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import plots


def cell(beta: float, size: int = 2, **mean: Any) -> dict[str, Any]:
    fields = {"objective.beta": beta, "model.latent_dim": size}
    rate = {"test/rate_nats": 20.0 / beta, "test/distortion_nats": 80.0}
    return {"fields": fields, "mean": rate | mean, "error": {}}


def test_a_sweep_of_a_number_has_a_figure_of_each_metric() -> None:
    kl = np.array([3.0, 0.1])
    cells = [cell(beta, **{"latent/kl_per_dim": kl / beta}) for beta in (1.0, 4.0)]
    figures = plots.draw_all(cells, ["objective.beta"], 5)
    captions, pictures = zip(*figures, strict=True)
    assert len(captions) == 1 + len(plots.METRICS) + 1
    assert captions[0].endswith("labelled with objective.beta.")
    assert captions[-1] == "KL of each latent dimension, the largest first."
    assert all(picture.startswith("<svg") for picture in pictures)
    assert ">rate (nats)</text>" in pictures[0]


def test_without_a_number_along_the_axis_there_is_the_plane_alone() -> None:
    assert len(plots.draw_all([cell(1.0)], [], 5)) == 1
    assert plots.draw_all([cell(1.0) | {"mean": {}}], [], 5) == []


def test_lines_are_told_apart_by_the_other_fields() -> None:
    cells = [cell(beta, size) for size in (2, 8) for beta in (4.0, 1.0)]
    x, series = plots._axes(cells, ["model.latent_dim", "objective.beta"])
    assert (x, series) == ("objective.beta", ["model.latent_dim"])
    lines = plots._lines(cells, x, series)
    assert [label for label, _, _ in lines] == ["latent_dim 2", "latent_dim 8"]
    for _, _, line in lines:
        assert [c["fields"]["objective.beta"] for c in line] == [1.0, 4.0]


def test_names_with_dollar_signs_are_no_formulas() -> None:
    cells = [cell(beta) for beta in (1.0, 4.0)] * 2
    for i, of_cell in enumerate(cells):
        names = {"dataset.name": f"npz:{'ab'[i // 2]}$_{{$c.npz"}
        cells[i] = of_cell | {"fields": of_cell["fields"] | names}
    figures = plots.draw_all(cells, ["objective.beta", "dataset.name"], 5)
    assert "$_{$c.npz" in figures[0][1]


@pytest.mark.parametrize("anomalous", [[np.inf, 1.0], [np.inf]])
def test_infinite_scores_have_a_histogram(tmp_path: Path, anomalous: list) -> None:
    path, normal = tmp_path / "scores.png", np.array([0.0, 0.5])
    plots.save_histogram(path, normal, np.array(anomalous), label="a")
    assert path.read_bytes().startswith(b"\x89PNG")

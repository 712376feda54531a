"""Vectors beside what a model makes of them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from experiments import columns, score, train
from experiments.latents import run as latents_run
from experiments.workdir import read_json
from vae.types import UserError


def test_a_shift_is_the_misfit_and_noise_is_not_explained() -> None:
    random = np.random.default_rng(0)
    data = random.normal(size=(500, 3)) * [1, 2, 0]
    samples = data[::-1] + [0, 2 * data[:, 1].std(), 3]
    means = np.stack([data[:, 0], np.full(500, data[:, 1].mean()), data[:, 2]], 1)
    found = columns.compare(data, samples, means)
    np.testing.assert_allclose(found.misfit, [0, 2, 3], atol=1e-12)
    np.testing.assert_allclose(found.explained, [1, 0, np.nan], atol=1e-12)
    np.testing.assert_allclose(found.reconstruction_rmse, [0, data[:, 1].std(), 0])


def test_a_column_without_values_comes_last(tmp_path: Path) -> None:
    """Of few test rows with missing values."""
    data = np.random.default_rng(0).normal(size=(20, 3))
    data[:, 1] = np.nan
    means = np.zeros((20, 3))
    columns.save(data, means, means, tmp_path, ["a", "b", "c"])
    with (tmp_path / "columns.csv").open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    assert rows[-1]["column"] == "b" and rows[-1]["misfit"] == "nan"
    assert float(rows[0]["misfit"]) > 0
    assert columns.show_columns(tmp_path).tables


def test_the_largest_misfit_comes_first(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(100, 15))
    data /= data.std(0)
    given = [f"$price <{i}>, and more to make it long" for i in range(15)]
    columns.save(data, data + np.arange(15), data, tmp_path, given)
    section = columns.show_columns(tmp_path)
    names = [row[0] for row in section.tables[0].rows]
    assert names == given[::-1]
    assert section.pictures["columns"].exists()
    (tmp_path / "columns.csv").unlink()
    assert "evaluate it again" in columns.show_columns(tmp_path).left_out


@pytest.mark.slow
@pytest.mark.usefixtures("short_fits")
def test_a_run_of_vectors_is_scored_and_has_its_page(
    small_config, tmp_path: Path
) -> None:
    """Two of five directions vary together, in units of their own; anomalies leave that
    plane."""
    random = np.random.default_rng(0)
    plane = random.normal(size=(2, 5))
    x = random.normal(size=(700, 2)) @ plane + 0.1 * random.normal(size=(700, 5))
    others = x[-50:] + random.normal(size=(50, 5))
    x, others = (rows * [1e-3, 1, 1, 30, 1e4] - 7 for rows in (x, others))
    labels = np.arange(700) % 3
    kept = {"x_train": x[:600], "y_train": labels[:600]}
    np.savez(tmp_path / "a.npz", **kept, x_test=x[600:], y_test=labels[600:])
    np.savez(tmp_path / "b.npz", x=others)
    small_config.dataset.name = f"npz:{tmp_path}/a.npz"
    small_config.dataset.scale = "standardize"
    small_config.model.likelihood.name = "gaussian_shared"
    small_config.evaluate.anomalies.source = f"npz:{tmp_path}/b.npz"
    small_config.train.steps = 1500
    small_config.optimizer.learning_rate = 3e-3
    folder = tmp_path / "run"
    train.run(small_config, folder)
    results = read_json(folder / "results.json") or {}
    assert results["latent/active_units"] == 2
    assert results["anomaly/neg_elbo_auroc"] > 0.9
    assert "anomaly/complexity_ratio_auroc" not in results
    with (folder / "images" / "columns.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 5
    assert min(float(row["explained"]) for row in rows) > 0.8
    means = {row["column"]: float(row["data_mean"]) for row in rows}
    expected = x[600:].mean(0)  # in the units of the data
    np.testing.assert_allclose([means[str(i)] for i in range(5)], expected, rtol=1e-3)
    score.run(folder, f"npz:{tmp_path}/b.npz", 0.05)
    latents_run.run(folder)
    page = (folder / "latents.html").read_text()
    assert "could not be computed" not in page and "Codes of 100 test vectors" in page
    assert not (folder / "explorer.html").exists()
    np.savez(tmp_path / "c.npz", x=others[:, :3])
    with pytest.raises(UserError, match=r"vectors are 3, the model's 5 \(columns\)"):
        score.run(folder, f"npz:{tmp_path}/c.npz", 0.05)

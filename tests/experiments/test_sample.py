"""Examples drawn from a run, from its launch to the file."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

import vae
from configs import default
from experiments import encode, export, sample, train
from tests.helpers.tables import COLOURS, use_table
from vae.data.columns import Column
from vae.data.splits import Dataset, Split
from vae.types import UserError

HOW: dict[str, Any] = {"label": "", "temperature": 1.0, "mean": False, "seed": 0}


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional model of a table whose labels are texts."""
    folder = tmp_path_factory.mktemp("table")
    config = default.get_config("smoke")
    use_table(config, folder / "a.csv", rows=200)
    config.dataset.label_column = "sex"
    config.model.condition = "label"
    config.model.latent_dim = 4
    config.model.encoder.widths = config.model.decoder.widths = (8,)
    config.model.likelihood.name = "per_column"
    config.runtime.num_devices = 1
    train.run(config, folder / "run")
    return folder / "run"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(
            csv.DictReader(stream, delimiter="\t" if "tsv" in path.name else ",")
        )


@pytest.mark.slow
def test_rows_are_like_those_of_the_table(table_run: Path, tmp_path: Path) -> None:
    """Of a run and of its export; and they can be read."""
    sample.run(table_run, None, count=600, **HOW)
    export.run(table_run, tmp_path / "export", license="cc0-1.0")
    sample.run(tmp_path / "export", tmp_path / "b.tsv", count=600, **HOW)
    rows = read(table_run / "samples.csv")
    assert rows == read(tmp_path / "b.tsv")
    assert [*rows[0]] == ["age", "colour", "visits", "is_healthy", "label", "sex"]
    men = np.array([row["sex"] == "m" for row in rows])
    assert abs(men.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(rows))
    assert {row["colour"] for row in rows} == {*COLOURS}
    assert {row["is_healthy"] for row in rows} == {"0", "1"}
    assert all(row["visits"].isdecimal() for row in rows)
    held = {row["age"] for row in read(table_run.with_name("a.csv"))}
    assert len({row["age"] for row in rows} - held) > 500
    sample.run(table_run, tmp_path / "c.npz", count=600, **HOW)
    with np.load(tmp_path / "c.npz") as file:
        found = dict(file)
    assert found["columns"].tolist() == vae.load(table_run).value_names
    ages = [float(row["age"]) for row in rows]
    np.testing.assert_allclose(found["x"][:, 0], ages, rtol=1e-5)
    np.testing.assert_array_equal(found["y"], men)
    encode.run(table_run, f"table:{table_run}/samples.csv", tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz") as file:
        codes = file["mean"]
    # Texts are read back to 6 digits; categories, counts and labels as they were.
    expected = vae.load(table_run).encode(found["x"], found["y"]).mean
    np.testing.assert_allclose(codes, expected, rtol=1e-4, atol=1e-4)
    parquet = pytest.importorskip("pyarrow.parquet")
    sample.run(table_run, tmp_path / "d.parquet", count=600, **HOW)
    table = parquet.read_table(tmp_path / "d.parquet").to_pydict()
    assert table["visits"] == [int(row["visits"]) for row in rows]
    assert table["colour"] == [row["colour"] for row in rows]
    np.testing.assert_allclose(table["age"], ages)


@pytest.mark.slow
def test_a_label_and_means_are_chosen(table_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    sample.run(table_run, path, count=3, **(HOW | {"label": "m", "mean": True}))
    rows = read(path)
    assert [row["sex"] for row in rows] == ["m"] * 3
    chosen = {"temperature": 0.0, "mean": True}
    sample.run(table_run, path, count=20, **(HOW | chosen))
    assert len({tuple(row.values()) for row in read(path)}) == 2  # one for each label
    for given, message in (
        ({"label": "x"}, "--label=x must be one of f, m"),
        ({"temperature": -1.0}, "^--temperature=-1.0 must be finite and 0 or more"),
        ({"count": 0}, "--count=0 must be 1 or more"),
    ):
        with pytest.raises(UserError, match=message):
            sample.run(table_run, path, **({"count": 3} | HOW | given))
    with pytest.raises(UserError, match="a.csv is table:.*name another file"):
        sample.run(table_run, table_run.with_name("a.csv"), count=3, **HOW)
    (tmp_path / "sweep/members/x").mkdir(parents=True)
    (tmp_path / "sweep/members/x/config.json").touch()
    with pytest.raises(UserError, match="name a member, as .*/sweep/members/x$"):
        sample.run(tmp_path / "sweep", path, count=3, **HOW)
    with pytest.raises(UserError, match="must end in .npz, .csv, .tsv or .parquet"):
        sample.run(table_run, tmp_path / "a.txt", count=3, **HOW)


@pytest.mark.slow
def test_images_are_those_of_the_library(kept_run: Path, tmp_path: Path) -> None:
    sample.run(kept_run, None, count=700, **HOW)
    sample.run(kept_run, tmp_path / "means.npz", count=700, **(HOW | {"mean": True}))
    with (
        np.load(kept_run / "samples.npz") as file,
        np.load(tmp_path / "means.npz") as m,
    ):
        x, mean = file["x"], m["x"]
    fitted, key = vae.load(kept_run), jax.random.fold_in(jax.random.key(0), 0)
    np.testing.assert_array_equal(x[:500], fitted.sample(key, 500, mean=False))
    np.testing.assert_allclose(mean[:500], fitted.sample(key, 500), rtol=1e-6)
    assert x.shape == mean.shape == (700, *fitted.event_shape)
    assert {*np.unique(x)} == {0, 1}
    assert len({image.tobytes() for image in mean}) == 700  # each batch has its own
    standard_error = np.sqrt((mean * (1 - mean)).mean() / x.size)
    assert abs((x - mean).mean()) < 4 * standard_error
    with pytest.raises(UserError, match="label=3: the model is not conditional"):
        sample.run(kept_run, None, count=1, **(HOW | {"label": "3"}))
    with pytest.raises(UserError, match="must end in .npz"):
        sample.run(kept_run, tmp_path / "a.csv", count=1, **HOW)


@pytest.mark.slow
def test_labels_are_as_frequent_as_in_the_training_data(
    small_config, tmp_path: Path
) -> None:
    """Also of an export. Labels 0 and 3 are not among them. The prior has no
    temperature."""
    x = np.random.default_rng(0).random((60, 5)).astype(np.float32)
    y = np.where(np.arange(60) % 4, 2, 1)
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x, y_train=y, y_test=y + 1)
    small_config.dataset.name = f"npz:{tmp_path / 'a.npz'}"
    small_config.dataset.batch_size = 10
    small_config.dataset.binarize = "none"
    small_config.model.likelihood.name = "gaussian_shared"
    small_config.model.condition = "label"
    small_config.model.prior.name = "gaussian_mixture"
    small_config.train.steps = 2
    train.run(small_config, tmp_path / "run")
    export.run(tmp_path / "run", tmp_path / "export", license="cc0-1.0")
    for folder in (tmp_path / "run", tmp_path / "export"):
        sample.run(folder, None, count=400, **HOW)
        with np.load(folder / "samples.npz") as file:
            labels = file["y"]
        counts = np.bincount(labels)
        assert counts[0] == 0 and counts.size == 3
        assert abs(counts[1] - 100) < 4 * np.sqrt(400 * 1 / 4 * 3 / 4)
        with pytest.raises(UserError, match="--label=0 must be one of 1, 2"):
            sample.run(folder, None, count=5, **(HOW | {"label": "0"}))
        cold = HOW | {"temperature": 0.5}
        with pytest.raises(
            UserError, match="=0.5: the prior has no temp.*leave it out"
        ):
            sample.run(folder, None, count=5, **cold)


def test_labels_without_a_kept_example_are_drawn_too() -> None:
    """A run keeps few examples; the counts are of all."""
    few = Split(np.zeros((1, 2)), np.array([2]))
    dataset = Dataset(few, few, few, label_counts=(1, 0, 3, 90))
    experiment: Any = SimpleNamespace(
        dataset=dataset,
        model=SimpleNamespace(num_labels=4),
        config={"dataset": {"keep_labels": (0, 1, 2)}},
    )
    labels = sample._labels(experiment, "", 100, 0)
    assert {*np.asarray(labels).tolist()} == {0, 2}
    np.testing.assert_array_equal(sample._labels(experiment, "0", 3, 0), [0, 0, 0])
    with pytest.raises(UserError, match="label=3 must be one of 0, 2"):
        sample._labels(experiment, "3", 3, 0)


def test_a_column_of_labels_needs_a_name_of_its_own() -> None:
    """A gene may be called like a column of the cells."""
    dataset = SimpleNamespace(columns=(Column("batch"),), label_names=())
    experiment: Any = SimpleNamespace(
        dataset=dataset, config={"dataset": {"label_column": "batch"}}
    )
    with pytest.raises(UserError, match="two columns would have the name 'batch'"):
        sample._label_column(experiment, np.zeros(3, np.int32))

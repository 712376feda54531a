"""Codes of a user's own images, in three formats."""

import csv
from pathlib import Path

import numpy as np
import pytest

import vae
from experiments import encode, export, train
from tests.experiments.test_runs import FIRST_DATA
from vae.types import UserError


@pytest.mark.slow
def test_three_formats_hold_the_librarys_codes(tmp_path: Path, kept_run: Path) -> None:
    for suffix in (".npz", ".csv", ".parquet"):
        encode.run(kept_run, FIRST_DATA, tmp_path / "in" / f"codes{suffix}")
    x = np.load(FIRST_DATA.removeprefix("npz:"))["x_test"][..., None]
    expected = vae.load(kept_run).encode(x)
    found = np.load(tmp_path / "in/codes.npz")
    np.testing.assert_allclose(found["mean"], expected.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["scale"], expected.scale, rtol=1e-5)
    assert (found["elbo_nats"] < 0).all() and len(found["names"]) == len(x)
    with (tmp_path / "in/codes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == list(found["names"])
    means = [[float(row[f"mean_{i}"]) for i in range(2)] for row in rows]
    np.testing.assert_allclose(means, found["mean"], rtol=1e-5, atol=1e-6)
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(tmp_path / "in/codes.parquet").to_pydict()
    np.testing.assert_array_equal(table["elbo_nats"], found["elbo_nats"])


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["none", "standardize"])
def test_a_table_is_encoded_by_the_names_of_its_columns(
    small_config, tmp_path: Path, scale: str
) -> None:
    """Once the run's own table is gone; from the run and from its export."""
    age = np.random.default_rng(0).uniform(0, 5, 60)
    lines = [f"{a},{'yes' if a > 2 else 'no'},{i % 3}" for i, a in enumerate(age)]
    own, other, folder = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "run"
    own.write_text("\n".join(["age,is_old,label", *lines]))
    other.write_text("new,is_old,age\n?,yes,3\n?,no,1\n")
    small_config.dataset.name = f"table:{own}"
    small_config.dataset.label_column = "label"
    small_config.dataset.scale = scale
    small_config.dataset.batch_size = 10
    small_config.model.likelihood.name = "gaussian_shared"
    small_config.train.steps = 2
    train.run(small_config, folder)
    with (folder / "images/columns.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["column"] for row in rows} == {"age", "is_old=no", "is_old=yes"}
    own.unlink()
    export.run(folder, tmp_path / "export", license="cc0-1.0")
    fitted = vae.load(folder)
    assert fitted.value_names == ["age", "is_old=no", "is_old=yes"]
    expected = fitted.encode(np.float32([[3, 0, 1], [1, 1, 0]]))
    for place in (folder, tmp_path / "export"):
        encode.run(place, f"table:{other}", tmp_path / "codes.npz")
        found = np.load(tmp_path / "codes.npz")
        assert found["names"].tolist() == ["row 2", "row 3"]
        assert ("elbo_nats" in found) == (scale == "none")
        assert ("elbo_data_units_nats" in found) == (scale != "none")
        np.testing.assert_allclose(found["mean"], expected.mean, rtol=1e-5, atol=1e-6)
    other.write_text("is_old,age\nperhaps,3\n")
    with pytest.raises(UserError, match="^--data=.*'perhaps'.*training data: no, yes$"):
        encode.run(folder, f"table:{other}", tmp_path / "codes.npz")


@pytest.mark.slow
def test_what_cannot_be_encoded_is_refused(tmp_path: Path, kept_run: Path) -> None:
    with pytest.raises(UserError, match="must end in .npz or .csv or .parquet"):
        encode.run(kept_run, FIRST_DATA, tmp_path / "codes.txt")
    np.savez(tmp_path / "wide.npz", x=np.zeros((3, 9, 9), np.uint8))
    with pytest.raises(UserError, match="its images are 9 x 9 x 1, the model's 8 x 8"):
        encode.run(kept_run, f"npz:{tmp_path}/wide.npz", tmp_path / "codes.npz")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        encode.run(kept_run, FIRST_DATA, tmp_path / "file" / "codes.npz")
    assert not (tmp_path / "codes.npz").exists()

"""Imputations of a run, from its launch to the file."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from configs import default
from experiments import evaluate, impute, runs, score, train
from experiments.latents import run as latents_run
from tests.helpers.tables import COLOURS, SEXES, use_table
from vae.build import build
from vae.saved import read_json
from vae.types import UserError


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Four columns that follow one code, in units of their own; a fifth is missing."""
    random = np.random.default_rng(0)
    x = random.normal(size=(700, 1)) * [1, -2, 300, 1e-3] + [0, 1, 1000, 0]
    x += random.normal(size=x.shape) * [0.1, 0.2, 30, 1e-4]
    return np.where(random.random(x.shape) < 0.25, np.nan, x)


@pytest.mark.slow
@pytest.mark.usefixtures("short_fits")
def test_a_run_imputes_in_the_units_of_the_data(
    small_config, rows: np.ndarray, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", x_train=rows[:600], x_test=rows[600:])
    small_config.dataset.name = f"npz:{tmp_path}/a.npz"
    small_config.dataset.scale = "standardize"
    small_config.model.likelihood.name = "gaussian_shared"
    with pytest.raises(UserError, match="missing=observed_only"):
        train.run(small_config, tmp_path / "refused")
    small_config.dataset.missing = "observed_only"
    small_config.train.steps = 1500
    small_config.optimizer.learning_rate = 3e-3
    folder = tmp_path / "run"
    train.run(small_config, folder)
    results = read_json(folder / "results.json") or {}
    assert results["latent/active_units"] == 1
    asked = np.float32([[1, *[np.nan] * 3], [np.nan, np.nan, 1600, 2e-3]])
    np.savez(tmp_path / "b.npz", x=asked)
    output = tmp_path / "imputed.npz"
    given = {"num_samples": 300, "num_draws": 7}
    impute.run(folder, f"npz:{tmp_path}/b.npz", output, **given)
    with np.load(output) as file:
        found = dict(file)
    expected = np.array([[1, -1, 1300, 1e-3], [2, -3, 1600, 2e-3]])
    spread = np.array([0.3, 0.6, 90, 3e-4])
    assert (np.abs(found["x"] - expected) < spread).all()
    is_missing = np.isnan(asked)
    np.testing.assert_array_equal(
        found["x"][~is_missing], np.float32(asked[~is_missing])
    )
    np.testing.assert_array_equal(found["std"] > 0, is_missing)
    assert (found["std"] < spread).all()
    assert found["draws"].shape == (7, 2, 4)
    score.run(folder, f"npz:{tmp_path}/b.npz", 0.05)  # by what is observed
    latents_run.run(folder)
    page = (folder / "latents.html").read_text()
    assert "could not be computed" not in page
    evaluate.run(None, folder)
    assert runs.open_run(folder).experiment.model.observed_only
    with pytest.raises(UserError, match="must end in .npz"):
        impute.run(folder, f"npz:{tmp_path}/b.npz", tmp_path / "c.txt", **given)


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a table with holes, and beside it the table, called a.csv."""
    folder = tmp_path_factory.mktemp("table")
    config = default.get_config("smoke")
    use_table(config, folder / "a.csv", rows=600, missing=0.2)
    config.runtime.num_devices = 1
    config.model.latent_dim = 4
    config.model.encoder.widths = config.model.decoder.widths = (32,)
    config.model.likelihood.name = "per_column"
    config.dataset.missing = "observed_only"
    config.dataset.batch_size = 50
    config.objective.name, config.objective.num_samples = "iwae", 5
    config.train.steps, config.runtime.steps_per_call = 1500, 500
    config.train.log_every, config.runtime.checkpoint_every = 500, 0
    config.optimizer.learning_rate = 3e-3
    train.run(config, folder / "run")
    return folder / "run"


def cells_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as stream:
        return list(csv.reader(stream, delimiter="\t" if "tsv" in path.name else ","))


@pytest.mark.slow
def test_a_table_becomes_a_table(table_run: Path) -> None:
    """The same cells in the same places, and sensible ones where there were none."""
    held = cells_of(table_run.with_name("a.csv"))
    name = f"table:{table_run.with_name('a.csv')}"
    copy = shutil.copy(table_run.with_name("a.csv"), table_run.with_name("copy.csv"))
    with pytest.raises(UserError, match="a.csv is table:.*name another file"):
        trained_on, given = table_run.with_name("a.csv"), {"num_samples": 5}
        impute.run(table_run, f"table:{copy}", trained_on, num_draws=1, **given)
    impute.run(table_run, name, None, num_samples=50, num_draws=2)
    written = sorted((table_run / "imputed").iterdir())
    mean, *draws, std = (cells_of(path) for path in written)
    kinds = {"colour": COLOURS, "sex": SEXES, "is_healthy": ("True", "False")}
    for found in (mean, *draws):
        assert found[0] == held[0] and len(found) == len(held)
        for row, own in zip(found[1:], held[1:], strict=True):
            for column, cell, was in zip(held[0], row, own, strict=True):
                assert cell == was or not was
                assert cell in kinds.get(column, (cell,))
                assert column != "visits" or cell.isdecimal()
    assert draws[0] != draws[1]
    assert std[0] == ["age", *(f"colour={c}" for c in COLOURS), *std[0][4:]]
    is_hole = np.array([not row[2] for row in held[1:]])
    spread = np.array([float(row[std[0].index("visits")]) for row in std[1:]])
    np.testing.assert_array_equal(spread > 0, is_hole)
    age, visits = (np.array([float(r[i]) for r in mean[1:]]) for i in (0, 2))
    assert np.corrcoef(age[is_hole], visits[is_hole])[0, 1] > 0.7


@pytest.mark.slow
def test_other_tables_are_filled_in_their_own_form(
    table_run: Path, tmp_path: Path
) -> None:
    head = "id\tsex\tis_healthy\tvisits\tcolour\tage"
    (tmp_path / "b.tsv").write_text(
        f"{head}\n01\t\ttrue\t2\tblue\t30\n02\tf\t\t\t\t70\n"
    )
    name, given = f"table:{tmp_path}/b.tsv", {"num_samples": 50, "num_draws": 1}
    impute.run(table_run, name, tmp_path / "c.tsv", **given)
    names, first, second = cells_of(tmp_path / "c.tsv")
    assert names == head.split("\t")
    assert (
        first[0] == "01"
        and first[1] in SEXES
        and first[2:] == ["true", "2", "blue", "30"]
    )
    assert second[2] in ("true", "false") and second[4] in COLOURS
    assert {path.name for path in tmp_path.iterdir()} == {
        *("b.tsv", "c.tsv", "c_std.tsv", "c_draw1.tsv")
    }
    with pytest.raises(UserError, match=r"c.csv must end in .tsv or .npz$"):
        impute.run(table_run, name, tmp_path / "c.csv", **given)
    with pytest.raises(UserError, match="is table:.*name another file"):
        impute.run(table_run, name, tmp_path / "b.tsv", **given)


@pytest.mark.slow
def test_a_model_of_whole_rows_imputes_nothing(
    small_config, rows: np.ndarray, tmp_path: Path
) -> None:
    whole = np.nan_to_num(rows)
    np.savez(tmp_path / "a.npz", x_train=whole[:600], x_test=whole[600:], x=rows)
    small_config.dataset.name = f"npz:{tmp_path}/a.npz"
    small_config.dataset.scale = "standardize"
    small_config.model.likelihood.name = "gaussian_shared"
    train.run(small_config, tmp_path / "run")
    name, given = f"npz:{tmp_path}/a.npz", {"num_samples": 3, "num_draws": 1}
    with pytest.raises(UserError, match="was trained without missing values"):
        impute.run(tmp_path / "run", name, None, **given)
    with pytest.raises(UserError, match="--samples=0 must be at least 1"):
        impute.run(tmp_path / "run", name, None, num_samples=0, num_draws=1)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dataset.scale", "log1p", "^run: dataset.scale=log1p gives no means"),
        ("model.condition", "label", "^run: the model is conditional"),
    ],
)
def test_models_without_imputations_are_refused(
    small_config, tmp_path: Path, field: str, value: str, message: str
) -> None:
    use_table(small_config, tmp_path / "a.csv", missing=0.2)
    small_config.model.likelihood.name = "per_column"
    small_config.dataset.missing = "observed_only"
    small_config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=message):
        impute.check_model(build(small_config), Path("run"))


@pytest.mark.slow
def test_a_table_is_imputed_by_the_names_of_its_columns(
    small_config, tmp_path: Path
) -> None:
    lines = [f"{'' if i % 7 == 0 else i},{i % 5},{'xy'[i % 2]}" for i in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(["a,b,c", *lines]))
    (tmp_path / "b.csv").write_text("c,b,a\n,7,\nx,,9\n")
    small_config.dataset.update(
        name=f"table:{tmp_path}/a.csv",
        missing="observed_only",
        scale="standardize",
        batch_size=10,
    )
    small_config.model.likelihood.name = "gaussian_shared"
    small_config.train.steps = 2
    train.run(small_config, tmp_path / "run")
    name, output = f"table:{tmp_path}/b.csv", tmp_path / "c.npz"
    impute.run(tmp_path / "run", name, output, num_samples=3, num_draws=1)
    with np.load(output) as file:
        found = dict(file)
    assert found["names"].tolist() == ["row 2", "row 3"]
    assert found["columns"].tolist() == ["a", "b", "c=x", "c=y"]
    is_missing = [[1, 0, 1, 1], [0, 1, 0, 0]]
    np.testing.assert_array_equal(found["std"] > 0, is_missing)
    assert found["x"][0, 1] == 7 and found["x"][1, [0, 2, 3]].tolist() == [9, 1, 0]

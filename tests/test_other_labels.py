"""Labels of other data than the run's, for conditional models: as the run numbers
them, whatever the other file holds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.vae.data import test_h5ad
from vae.data.options import ReadOptions
from vae.data.sources import load_other
from vae.types import UserError

NAMES = ("bird", "cat", "dog")
TABLE = ReadOptions(label_column="kind")


def table(place: Path, *kinds: str) -> str:
    rows = [f"{i},{kind}" for i, kind in enumerate(kinds)]
    (place / "a.csv").write_text("\n".join(["x,kind", *rows]) + "\n")
    return f"table:{place / 'a.csv'}"


def folder(place: Path, *kinds: str) -> str:
    for i, kind in enumerate(kinds):
        path = place / "photos" / kind / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(path)
    return f"images:{place / 'photos'}"


@pytest.mark.parametrize("save", [table, folder])
def test_texts_are_numbered_as_in_the_run(
    tmp_path: Path, save: Callable[..., str]
) -> None:
    name = save(tmp_path, "dog", "cat", "dog")
    given = {"options": TABLE, "where": "--data"}
    split, names = load_other(name, **given, label_names=NAMES)
    found = [NAMES[label] for label in split.labels]
    assert found == (["cat", "dog", "dog"] if save is folder else ["dog", "cat", "dog"])
    assert len(names) == 3
    assert load_other(name, **given)[0].labels is None
    name = save(tmp_path, "dog", "fish")
    with pytest.raises(UserError, match="model.*bird, cat, dog"):
        load_other(name, **given, label_names=NAMES)


def test_folders_may_be_called_by_numbers(tmp_path: Path) -> None:
    split, _ = load_other(folder(tmp_path, "3", "0"), where="--data", label_names=())
    assert split.labels.tolist() == [0, 3]
    with pytest.raises(
        UserError, match=r"folder of cat/0.png .* \(0, 1, ...\); rename"
    ):
        load_other(folder(tmp_path, "cat"), where="--data", label_names=())


def test_without_a_column_of_labels_there_are_none(tmp_path: Path) -> None:
    """As of a run on an npz, whose config names no column."""
    (tmp_path / "a.csv").write_text("x,z\n1,2.5\n2,3.5\n")
    for name in (
        f"table:{tmp_path / 'a.csv'}",
        test_h5ad.save(tmp_path / "a.h5ad", test_h5ad.COUNTS),
    ):
        assert load_other(name, where="--data", label_names=())[0].labels is None


def test_names_may_look_like_numbers(tmp_path: Path) -> None:
    given = {"options": TABLE, "where": "--data", "label_names": ("1.5", "mixed")}
    assert load_other(table(tmp_path, "1.5"), **given)[0].labels.tolist() == [0]


def test_integers_stay_integers(tmp_path: Path) -> None:
    given = {"options": TABLE, "where": "--data"}
    name = table(tmp_path, "7", "2")
    assert load_other(name, **given, label_names=())[0].labels.tolist() == [7, 2]
    with pytest.raises(UserError, match="row 2 .* label '7', but those of the model"):
        load_other(name, **given, label_names=NAMES)
    name = table(tmp_path, "7", "cat")
    with pytest.raises(UserError, match="row 3 .* label 'cat', .* model are integers"):
        load_other(name, **given, label_names=())
    (tmp_path / "a.csv").write_text("x,sort\n1,2\n2,3\n")
    with pytest.raises(UserError, match="label_column names 'kind', but the columns"):
        load_other(name, **given, label_names=())


@pytest.mark.parametrize("ends", ["", "_test"])
def test_arrays_have_labels_beside_them(tmp_path: Path, ends: str) -> None:
    x, y = np.zeros((3, 4, 4), np.uint8), np.array([4, 0, 1])
    np.savez(tmp_path / "a.npz", **{f"x{ends}": x, f"y{ends}": y})
    name = f"npz:{tmp_path / 'a.npz'}"
    assert load_other(name, where="--data")[0].labels is None
    split, _ = load_other(name, where="--data", label_names=())
    assert split.labels.tolist() == [4, 0, 1]
    np.savez(tmp_path / "a.npz", **{f"x{ends}": x, f"y{ends}": y[:2]})
    with pytest.raises(UserError, match=f"y{ends} has 2 labels, and x{ends} has 3"):
        load_other(name, where="--data", label_names=())


def test_cells_have_labels_in_obs(tmp_path: Path) -> None:
    name = test_h5ad.save(tmp_path / "a.h5ad", test_h5ad.COUNTS)
    given = {"options": test_h5ad.OPTIONS, "where": "--data"}
    split, _ = load_other(name, **given, label_names=("A", "B", "T"))
    assert split.labels.tolist() == [2, 1] * 10
    with pytest.raises(UserError, match="label 'T', but those of the model are A, B"):
        load_other(name, **given, label_names=("A", "B"))

"""A table becomes vectors whose columns have names and kinds."""

from pathlib import Path

import numpy as np
import pytest

from configs import default
from vae.data.load import load_dataset
from vae.data.options import ReadOptions
from vae.data.sources import load, load_other
from vae.data.splits import content_hash
from vae.types import UserError

HEADER = "id,colour,age,ok,n,kind,part\n"
ROWS = (
    "1,red,1.5,true,3,a,train\n"
    "2,blue,2.5,false,4,b,train\n"
    "3,red,3.5,true,5,a,test\n"
    "4,green,0,false,0,b,train\n"
)
OPTIONS = ReadOptions(
    label_column="kind", split_column="part", column_kinds=("id:ignore", "n:count")
)
NAMES = ["colour=blue", "colour=green", "colour=red", "age", "ok", "n"]


def save(path: Path, text: str) -> str:
    path.write_text(text)
    return f"table:{path}"


def test_columns_have_kinds_and_rows_a_split(tmp_path: Path) -> None:
    loaded = load(save(tmp_path / "a.csv", HEADER + ROWS), "", OPTIONS)
    assert [name for c in loaded.columns for name in c.value_names] == NAMES
    kinds = [column.kind for column in loaded.columns]
    assert kinds == ["category", "real", "binary", "count"]
    assert loaded.test.images.tolist() == [[0, 0, 1, 3.5, 1, 5]]
    assert loaded.test.labels.tolist() == [0] and loaded.label_names == ("a", "b")
    order = np.argsort(loaded.train.images[:, 3])  # by age
    assert loaded.train.images.dtype == np.float32
    assert loaded.train.labels[order].tolist() == [1, 0, 1]
    np.testing.assert_array_equal(
        loaded.train.images[order],
        [[0, 1, 0, 0, 0, 0], [0, 0, 1, 1.5, 1, 3], [1, 0, 0, 2.5, 0, 4]],
    )


def test_kinds_are_inferred_but_counts_and_categories_of_numbers_are_not(
    tmp_path: Path,
) -> None:
    name = save(tmp_path / "a.csv", "a,b,c,d\n0,0,10,yes\n1,2,9,no\n1,1,9,yes\n")
    inferred = [column.kind for column in load(name).columns]
    assert inferred == ["binary", "real", "real", "category"]
    given = ReadOptions(column_kinds=("a:real", "b:count", "c:category", "d:ignore"))
    columns = load(name, "", given).columns
    assert [column.kind for column in columns] == ["real", "count", "category"]
    assert columns[2].categories == ("9", "10")  # in the order of numbers


@pytest.mark.parametrize("last", ["10", "NAN"])
def test_categories_of_one_number_have_one_order(tmp_path: Path, last: str) -> None:
    """A run must go on in another process, whose sets have another order."""
    cells = ["1.0", last, "01", "2", "1", "1e0"]
    text = "a,b\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    options = ReadOptions(column_kinds=("b:category",))
    _, column = load(save(tmp_path / "a.csv", text), "", options).columns
    assert column.categories == ("01", "1", "1.0", "1e0", "2", last)


def test_csv_and_parquet_are_the_same_data(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    table = {
        "real": [0.5, None, 2.5, 3.0] * 5,
        "truth": [True, False, True, True] * 5,
        "text": ["a", "b", None, "a"] * 5,
        "zip": ["01000", "2.5", None, "3"] * 5,  # text in Parquet, numbers in CSV
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    rows = zip(*table.values(), strict=True)
    text = "real,truth,text,zip\n" + "".join(
        ",".join("" if cell is None else str(cell) for cell in row) + "\n"
        for row in rows
    )
    options, hashes = ReadOptions(missing="observed_only"), []
    for name in (save(tmp_path / "a.csv", text), f"table:{tmp_path}/a.parquet"):
        config = default.get_config()
        config.dataset.update(name=name, missing=options.missing, validation_size=3)
        dataset = load_dataset(config)
        assert [c.kind for c in dataset.columns] == [
            "real",
            "binary",
            "category",
            "real",
        ]
        hashes.append(content_hash(dataset))
    assert hashes[0] == hashes[1]
    other = content_hash(dataset._replace(columns=()))
    assert other != hashes[0]


def test_validation_leaves_the_test_rows_as_they_are(tmp_path: Path) -> None:
    name = save(tmp_path / "a.csv", "a\n" + "".join(f"{i}\n" for i in range(100)))
    config = default.get_config()
    config.dataset.name, found = name, []
    for size in (0, 30):
        config.dataset.validation_size = size
        found.append(load_dataset(config))
    whole, cut = found
    np.testing.assert_array_equal(whole.test.images, cut.test.images)
    assert whole.test.size == 20
    np.testing.assert_array_equal(whole.train.images[-30:], cut.validation.images)
    everything = np.concatenate([whole.train.images, whole.test.images])
    assert sorted(everything.ravel()) == [*range(100)]
    assert max(np.diff(whole.train.images.ravel())) > 1  # not in the order of the file


def test_missing_values_are_refused_or_nan(tmp_path: Path) -> None:
    gaps = ROWS.replace("2.5,false", ",").replace("1,red", "1,NA")
    name = save(tmp_path / "a.csv", HEADER + gaps)
    with pytest.raises(UserError, match="row 2 .* 'colour': .*missing=observed_only$"):
        load(name, "", OPTIONS)
    allowed = OPTIONS._replace(missing="observed_only")
    train = load(name, "", allowed).train.images
    missing = np.isnan(train[np.argsort(train[:, 5])])  # by n
    expected = np.zeros((3, 6))
    expected[1, :3] = expected[2, [3, 4]] = 1  # all values of the category
    np.testing.assert_array_equal(missing, expected)


def test_another_table_is_read_by_the_names_of_the_columns(tmp_path: Path) -> None:
    columns = load(save(tmp_path / "a.csv", HEADER + ROWS), "", OPTIONS).columns

    def other(text: str) -> tuple[np.ndarray, list[str]]:
        name = save(tmp_path / "b.csv", text)
        given = {"where": "--data=b.csv", "columns": columns}
        split, names = load_other(name, "", OPTIONS, **given)
        assert split.labels is None
        return split.images, names

    images, names = other("n,extra,ok,age,colour\n7,?,0,8,red\n\n1,?,1,2,blue\n")
    assert images.tolist() == [[0, 0, 1, 8, 0, 7], [1, 0, 0, 2, 1, 1]]
    assert names == ["row 2", "row 4"]
    for text, message in (
        (
            "n,ok,age\n1,1,1\n",
            "^--data=b.csv: it has no column 'colour', .* n, ok, age",
        ),
        (
            "n,ok,age,colour\n1,1,1,pink\n",
            "row 2 .*'pink'.*'colour'.* blue, green, red",
        ),
        ("n,ok,age,colour\n1,1,1,red\n1,2,1,red\n", "row 3 .* 2 in column 'ok'"),
        ("n,ok,age,colour\n1,1,old,red\n", "row 2 .* 'old' in column 'age'"),
        ("n,ok,age,colour\n1,1,,red\n", "column 'age': fill it in.* the column$"),
    ):
        with pytest.raises(UserError, match=message):
            other(text)


def test_without_columns_of_the_run_another_table_has_its_own(tmp_path: Path) -> None:
    name = save(tmp_path / "a.csv", "a,b\n1,2\n3,4\n")
    split, _ = load_other(name, where="--data")
    assert split.images.tolist() == [[1, 2], [3, 4]]

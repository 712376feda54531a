import json

from vae.data.columns import Column, as_plain, from_plain, value_kinds, value_names

COLUMNS = (
    Column("age"),
    Column("colour", "category", ("blue", "red")),
    Column("n", "count"),
)


def test_a_category_has_a_value_for_each_of_its_categories() -> None:
    assert [column.width for column in COLUMNS] == [1, 2, 1]
    assert value_names(COLUMNS, 4) == ["age", "colour=blue", "colour=red", "n"]
    assert value_kinds(COLUMNS) == ["real", "category", "category", "count"]


def test_values_without_names_are_numbered() -> None:
    assert value_names((), 3) == ["0", "1", "2"]


def test_json_gives_columns_back() -> None:
    assert from_plain(json.loads(json.dumps(as_plain(COLUMNS)))) == COLUMNS

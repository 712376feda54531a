import json

from vae.data.columns import (
    CATEGORY,
    COUNT,
    Column,
    as_plain,
    blank,
    first_values,
    from_plain,
    value_kinds,
    value_names,
)

COLUMNS = (
    Column("age"),
    Column("colour", CATEGORY, ("blue", "red")),
    Column("n", COUNT),
)


def test_a_category_is_a_value_for_each() -> None:
    assert value_names(COLUMNS, 4) == ["age", "colour=blue", "colour=red", "n"]
    assert value_kinds(COLUMNS) == ["real", "category", "category", "count"]
    assert value_names((), 3) == ["0", "1", "2"]


def test_json_holds_them() -> None:
    assert from_plain(json.loads(json.dumps(as_plain(COLUMNS)))) == COLUMNS


def test_a_blank_row_has_the_first_category() -> None:
    assert blank(COLUMNS) == [0, 1, 0, 0]


def test_columns_begin_where_others_end() -> None:
    assert first_values(COLUMNS, 4) == [0, 1, 3]
    assert first_values((), 3) == [0, 1, 2]

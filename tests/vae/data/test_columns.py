import json

from vae.data.columns import (
    CATEGORY,
    COUNT,
    Column,
    as_plain,
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

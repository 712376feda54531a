"""What the table() of a config file may return."""

from typing import Any

import numpy as np
import pytest

from experiments.table_plan import check_plan, with_texts
from vae.types import UserError


def plan_of(row: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A plan of one row, with changes of the row and of the table."""
    rows = [{"name": "a", "overrides": {}, **(row or {})}]
    return {"seeds": (0,), "rows": rows, **changes}


def test_a_plan_gets_what_it_does_not_say() -> None:
    plan = check_plan(plan_of(seeds=[3, 4]))
    assert plan["seeds"] == (3, 4)
    assert (plan["columns"], plan["mean"]) == ({}, False)
    assert plan["rows"] == [{"name": "a", "overrides": {}, "group": "row"}]


def test_what_differs_may_depend_on_the_config(small_config) -> None:
    row = plan_of({"differs": lambda c: f"{c.train.steps} of 3 steps"})["rows"][0]
    assert with_texts(row, small_config)["differs"] == "20 of 3 steps"
    assert "differs" not in with_texts({"differs": lambda c: ""}, small_config)


CLAIM = {"says": "a < b", "column": "NLL", "order": ("a", "a")}


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([{"name": "a", "overrides": {}}], "must return"),
        ({"seeds": (0,), "rows": [{"name": "a"}]}, "'a' of table.* no 'overrides'"),
        (plan_of(rows=["a"]), "'a' of table.* must be a dict"),
        (plan_of(rows=[]), "a seed and a row"),
        (plan_of(rows=3), "a 'rows' of 3: give a list"),
        (plan_of(rows=[*plan_of()["rows"]] * 2), "two rows of table.* are called 'a'"),
        (plan_of(seeds=3), "a 'seeds' of 3: give a list"),
        (plan_of(seeds=("a",)), "a whole number"),
        (plan_of(seeds=(0, 1, 0)), "two seeds of table.* are 0"),
        (
            plan_of(tolerences={}),
            "'tolerences', which nothing reads: choose from claims",
        ),
        (plan_of(tolerance=0.5), "a 'tolerance' of 0.5: give a dict"),
        (plan_of(tolerance={"NLL": -1.0}), "a tolerance of -1.0, below zero"),
        (plan_of(columns={"X": 5}), "columns of table.* have 5: give a text"),
        (plan_of(plane=("rate",)), "'plane' of table.* must be two of NLL, rate"),
        (plan_of(plane=("rate", "X")), "'plane' of table.* must be two of NLL, rate"),
        (plan_of(notes=5), "a 'notes' of 5: give a text"),
        (plan_of({"name": 5}), "a 'name' of 5: give a text"),
        (plan_of({"overrides": ["b"]}), "a 'overrides' of .'b'.: give a dict"),
        (plan_of({"overrides": {5: 1}}), "overrides 5, which is no field's name"),
        (plan_of({"overrides": {"seed": 1}}), "overrides seed, which is one for all"),
        (plan_of({"published": 86.0}), "a 'published' of 86.0: give a dict"),
        (plan_of({"published": {"NLL": "85"}}), "a 'published' of '85': give a number"),
        (plan_of({"published": {"NLL": np.nan}}), "a 'published' of nan"),
        (plan_of({"published": {"X": 1.0}}), "of 'X', which is none of its columns"),
        (plan_of(claims=["a"]), "claim 'a' of table.* must be a dict"),
        (plan_of(claims=[CLAIM | {"order": 3}]), "'order' of 3: give a list"),
        (plan_of(claims=[CLAIM | {"order": ("a",)}]), "two or more in its"),
        (plan_of(claims=[CLAIM | {"order": ("a", "b")}]), "that the table does not"),
        (
            plan_of(claims=[{"says": "s", "row": "a", "order": (0.5, "no such")}]),
            "that the table does not",
        ),
        (
            plan_of(
                claims=[{"says": "s", "row": "mean of rows", "order": ("NLL", 9.0)}]
            ),
            "that the table does not",  # it has no mean
        ),
        (plan_of(claims=[{"column": "NLL", "order": ("a",)}]), "has no 'says'"),
    ],
)
def test_a_malformed_table_is_refused(plan: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_plan(plan)

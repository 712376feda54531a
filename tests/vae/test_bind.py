"""Configuration groups bound to methods: what is filled in, and what is refused."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest

from vae.bind import Entry, bind, bind_method, default_of, drop_unread, parameters_of
from vae.fields import Count, Field, Sizes, Weight, fields_of, traced_of
from vae.types import UserError


def flat(step: float, *, steps: float) -> float:
    return 1.0


def ramp(step: float, *, steps: float) -> float:
    return step / steps


SHAPES = {"flat": flat, "ramp": ramp}


def penalty(
    x: float,
    *,
    weight: Weight = 3.0,
    shape: Annotated[Callable[..., float], Field(menu=SHAPES)] = flat,
    steps: Annotated[
        float, Field(traced=True, above=0.0, unless=("shape", "flat"))
    ] = 10.0,
) -> float:
    return weight * shape(x, steps=steps)


def other(x: float, *, share: Annotated[float, Field(at_least=0, at_most=1)] = 0.5):
    return share * x


def make(model: str, penalty: Any, *, count: Count = 1, widths: Sizes = (2,)) -> Any:
    return model, penalty, count, widths


MENU = {"first": Entry(make, {"penalty": penalty}), "second": other}
GROUP = {
    "name": "first",
    "weight": 3.0,
    "shape": "flat",
    "steps": 10.0,
    "share": 0.5,
    "count": 1,
    "widths": (2,),
}


def test_static_fields_are_filled_in_and_traced_ones_stand_apart() -> None:
    bound = bind("group", GROUP | {"shape": "ramp", "weight": 2, "widths": [4]}, MENU)
    model, method, count, widths = bound.build(model="model")
    assert (model, count, widths) == ("model", 1, (4,))
    assert bound.traced == {"weight": 2.0, "steps": 10.0}
    assert method(5.0, **traced_of(method, bound.traced | {"rate": 1})) == 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "frist"}, r"group.name=frist is unknown \(did you mean first\?\)"),
        ({"share": 0.1}, "group.name=first does not read group.share=0.1.*second"),
        ({"shape": "rmap"}, "did you mean ramp"),
        ({"weight": -1.0}, "group.weight=-1.0 must be a number, 0 or more"),
        ({"weight": float("nan")}, "must be a number"),
        ({"weight": 1e39}, "at most 1e.38"),
        ({"weight": 1e-40}, "must be a number"),
        ({"count": 0}, "group.count=0 must be an integer, 1 or more"),
        ({"count": True}, "must be an integer"),
        ({"count": 2**31}, "at most 2147483647"),
        ({"widths": (2, 0)}, r"group.widths=\(2, 0\) must be a tuple of integers"),
        ({"steps": 5.0}, "nothing reads group.steps=5.0 while group.shape='flat'"),
        ({"name": "second", "weight": 1.0}, "does not read group.weight"),
        ({"name": "second", "share": 2.0}, "0 or more and at most 1"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        bind("group", GROUP | changes, MENU)


def test_fields_of_a_group_may_have_another_reader() -> None:
    def holder(*, extra: Count = 7) -> int:
        return extra

    group = {"name": "second", "share": 0.5, "extra": 9}
    assert bind("group", group, MENU, holder).build(x=2.0) == 1.0
    assert bind_method("group", group, holder)() == 9


def test_unread_values_of_earlier_runs_are_dropped() -> None:
    group = GROUP | {"name": "second", "shape": "ramp", "share": 0.2}
    defaults = {"shape": "flat", "widths": [2]}  # as JSON holds them
    assert drop_unread(group, MENU) == group | defaults


def test_values_that_another_switches_off_are_dropped() -> None:
    kept = GROUP | {"shape": "ramp", "steps": 5.0}
    assert drop_unread(kept, MENU) == kept
    assert drop_unread(GROUP | {"steps": 5.0}, MENU) == GROUP


def test_fields_that_do_not_go_together_are_refused() -> None:
    def mismatch(weight: float, count: int) -> str | None:
        return f"needs {count} below {weight}" if count >= weight else None

    menu = MENU | {"first": MENU["first"]._replace(mismatch=mismatch)}
    bind("group", GROUP, menu)
    with pytest.raises(UserError, match="group.name=first needs 9 below 3"):
        bind("group", GROUP | {"count": 9}, menu)


def test_a_field_that_no_method_has_is_refused() -> None:
    with pytest.raises(UserError, match="nothing reads group.extra=1"):
        bind("group", GROUP | {"extra": 1}, MENU)


def test_a_default_is_what_the_configuration_holds() -> None:
    fields = parameters_of(*MENU.values())
    assert {name: default_of(field) for name, field in fields.items()} == {
        name: value for name, value in GROUP.items() if name != "name"
    }
    assert fields_of(flat) == {}

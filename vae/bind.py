"""From a group of the configuration to the method that it names.

`bind` fills fields by name, refuses values that nothing reads, checks ranges,
and separates traced numbers from static ones. See `vae.fields` for how a method says
what its fields are.
"""

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_origin

from vae.fields import Parameter, fields_of
from vae.types import UserError, one_of

Method = Callable[..., Any]
Group = Mapping[str, Any]  # of the configuration
SINGLE_PRECISION, MOST_INTEGER = (1e-37, 1e38), 2**31 - 1  # what 32 bits hold


class Entry(NamedTuple):
    """A method of a menu that takes others as arguments, or has facts of its own."""

    make: Method
    parts: Mapping[
        str, Method
    ] = {}  # arguments of `make` that have fields of their own
    couples: bool = False  # compares the examples of a minibatch
    is_padded: bool = True  # a model whose latent space may be wider than is used of it
    optimizer: Method | None = None  # of an objective's own parameters
    # Takes the fields; says which values do not go together, as a phrase, or None.
    mismatch: Method | None = None

    @property
    def methods(self) -> tuple[Method, ...]:
        """All whose fields the configuration holds."""
        own = () if self.optimizer is None else (self.optimizer,)
        return (self.make, *self.parts.values(), *own)


Menu = Mapping[str, Method | Entry]


class Binding(NamedTuple):
    """A method that a configuration names, with its numbers."""

    entry: Entry
    static: dict[str, Any]  # its static fields, as methods take them
    traced: dict[str, float]

    def build(self, **context: Any) -> Any:
        """Calls the method with its static fields and what it takes of the context."""
        known = {**context, **self.static}
        parts = {
            part: functools.partial(method, **_taken(method, known))
            for part, method in self.entry.parts.items()
        }
        return self.entry.make(**_taken(self.entry.make, known), **parts)

    def takes(self, name: str) -> bool:
        """Whether the method is built from what is called `name`."""
        return any(name in _parameters(method) for method in self.entry.methods)


def entry_of(method: Method | Entry) -> Entry:
    return method if isinstance(method, Entry) else Entry(method)


def parameters_of(*methods: Method | Entry) -> dict[str, Parameter]:
    """Returns the fields of methods, by name."""
    found: dict[str, Parameter] = {}
    for method in methods:
        for each in entry_of(method).methods:
            found |= fields_of(each)
    return found


def bind(path: str, group: Group, menu: Menu, *holders: Method) -> Binding:
    """Returns the method that a group of the configuration names.

    Args:
      path: of the group, as in "model.posterior".
      group: its fields; `name` is a key of the menu.
      menu: the methods that there are.
      *holders: methods that read other fields of the group, whichever is chosen.

    Raises:
      UserError: the name is unknown; a value is of the wrong type or out of range; or a
        value is not the default, and the chosen method does not read it.
    """
    name = one_of(f"{path}.name", group["name"], tuple(menu))
    entry = entry_of(menu[name])
    read = parameters_of(entry)
    values = {k: v for k, v in group.items() if not isinstance(v, Mapping)}
    del values["name"]
    for field in [f for holder in holders for f in fields_of(holder)]:
        values.pop(field, None)
    for field in values.keys() - read.keys():
        _check_unread(path, field, values.pop(field), name, menu)
    check(path, values, read)
    if entry.mismatch and (reason := entry.mismatch(**_taken(entry.mismatch, values))):
        raise UserError(f"{path}.name={name} {reason}")
    return Binding(
        entry,
        _static(values, read),
        {f: float(v) for f, v in values.items() if read[f].field.traced},
    )


def bind_method(path: str, group: Group, method: Method) -> Method:
    """Returns a method with its static fields from a group that names none."""
    read = fields_of(method)
    values = {field: group[field] for field in read if field in group}
    check(path, values, read)
    return functools.partial(method, **_static(values, read))


def check(path: str, values: Group, read: Mapping[str, Parameter]) -> None:
    """Refuses values of the wrong type or out of range, and those that nothing reads
    while another field is off.

    Raises:
      UserError: says which, and what it must be.
    """
    for field, value in values.items():
        parameter = read[field]
        _check_value(f"{path}.{field}" if path else field, value, parameter)
        if parameter.field.unless is not None:
            other, off = parameter.field.unless
            given = written(value)
            if values[other] == off and given != default_of(parameter):
                raise UserError(
                    f"nothing reads {path}.{field}={given} while {path}.{other}="
                    f"{off!r}; leave it at {default_of(parameter)}, or set "
                    f"{path}.{other}"
                )


def default_of(parameter: Parameter) -> Any:
    """Returns a field's default as the configuration holds it."""
    menu, default = parameter.field.menu, parameter.default
    if menu is None:
        return default
    return next(name for name, entry in menu.items() if entry is default)


def drop_unread(group: dict[str, Any], menu: Menu) -> dict[str, Any]:
    """Returns a group in which fields that its method does not read, or not with these
    values of others, are at their defaults: earlier versions took any value of them."""
    read = parameters_of(menu[group["name"]])
    others = parameters_of(*menu.values())
    unread = others.keys() & group.keys() - read.keys()
    unread |= {
        field
        for field in read.keys() & group.keys()
        if (condition := read[field].field.unless)
        and group[condition[0]] == condition[1]
    }
    return {**group, **{field: as_json(default_of(others[field])) for field in unread}}


def _static(values: Group, read: Mapping[str, Parameter]) -> dict[str, Any]:
    """Returns the values of static fields, with the entries that menus' keys name."""
    static = {}
    for name, value in values.items():
        field = read[name].field
        if field.menu is not None:
            static[name] = field.menu[value]
        elif not field.traced:
            static[name] = written(value)
    return static


def _parameters(method: Method) -> Mapping[str, Any]:
    return inspect.signature(method).parameters


def _taken(method: Method, known: Group) -> dict[str, Any]:
    return {name: known[name] for name in _parameters(method) if name in known}


def _check_unread(path: str, field: str, value: Any, name: str, menu: Menu) -> None:
    readers = [key for key, method in menu.items() if field in parameters_of(method)]
    if not readers:
        known = parameters_of(menu[name])
        near = difflib.get_close_matches(field, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "leave it out"
        raise UserError(f"nothing reads {path}.{field}={value}: {hint}")
    default = default_of(parameters_of(menu[readers[0]])[field])
    if written(value) != default:
        raise UserError(
            f"{path}.name={name} does not read {path}.{field}={written(value)}; leave "
            f"it at {default}, or use one of {', '.join(readers)}"
        )


def written(value: Any) -> Any:
    """Returns a value as users write it: JSON's lists are their tuples."""
    return tuple(value) if isinstance(value, list) else value


def as_json(value: Any) -> Any:
    """Returns a value as JSON gives it back: the inverse of `written`."""
    return list(value) if isinstance(value, tuple) else value


def _check_value(name: str, value: Any, parameter: Parameter) -> None:
    if parameter.field.menu is not None:
        one_of(name, value, tuple(parameter.field.menu))
        return
    low, _ = SINGLE_PRECISION
    for number in value if isinstance(value, (list, tuple)) else (value,):
        if not _is_good(number, parameter):
            is_lost = isinstance(number, float) and 0 < abs(number) < low
            raise UserError(
                f"{name}={written(value)!r} must be {describe(parameter)}"
                + is_lost * f"; single precision has nothing between 0 and {low}"
            )


def _is_good(value: Any, parameter: Parameter) -> bool:
    type_, field = parameter.type, parameter.field
    if type_ in (bool, str):
        return isinstance(value, type_)
    if type_ == tuple[str, ...]:
        return isinstance(value, str)
    kind = (int, float) if type_ is float else int
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    low, high = SINGLE_PRECISION
    return (
        math.isfinite(value)
        and (field.at_least is None or value >= field.at_least)
        and (field.above is None or value > field.above)
        and (field.at_most is None or value <= field.at_most)
        and (field.below is None or value < field.below)
        and (isinstance(value, int) or value == 0 or low <= abs(value) <= high)
        and (isinstance(value, float) or abs(value) <= (field.below or MOST_INTEGER))
    )


def describe(parameter: Parameter) -> str:
    """Says what a field may be."""
    type_, field = parameter.type, parameter.field
    if type_ in (bool, str):
        return {bool: "true or false", str: "a text"}[type_]
    if type_ == tuple[str, ...]:
        return "a tuple of texts"
    noun = "number" if type_ is float else "integer"
    bounds = [
        text.format(bound)
        for bound, text in (
            (field.at_least, "{:g} or more"),
            (field.above, "above {:g}"),
            (field.at_most, "at most {:g}"),
            (field.below, "below {:.10g}"),
        )
        if bound is not None
    ]
    limit = f"{SINGLE_PRECISION[1]:.0e}" if type_ is float else MOST_INTEGER
    if field.at_most is None and field.below is None:
        bounds.append(f"at most {limit}")
    noun = f"a tuple of {noun}s" if get_origin(type_) is tuple else f"a {noun}"
    return f"{noun.replace('a int', 'an int')}, {' and '.join(bounds)}"

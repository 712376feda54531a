"""What a parameter must say to be a field of the configuration.

A method's fields are the keyword-only parameters of the function, or the fields of the
Linen module, that implements it, if their annotations hold a `Field`. Their names and
defaults are the configuration's, and `vae.bind` fills them in:

    def capacity(inference, terms, moment, *, gamma: Weight = 1_000.0): ...

Other parameters (`latent_dim`, `dtype`, ...) are what the method is built from.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, get_args


@dataclasses.dataclass(frozen=True)
class Field:
    """Marks a parameter as a field of the configuration, and says what it may be.

    Attributes:
      traced: runs of one compiled program may differ in it; it is passed at every call,
        as a scalar array, and not when the method is built.
      at_least, above, at_most, below: bounds of a number, or of each of a tuple.
      menu: the field holds a key of it, and the method is given the entry.
      unless: `(field, value)`: nothing reads this field while that one has this value.
    """

    traced: bool = False
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    menu: Mapping[str, Any] | None = None
    unless: tuple[str, Any] | None = None


# Traced numbers.
Number = Annotated[float, Field(traced=True)]
Weight = Annotated[float, Field(traced=True, at_least=0.0)]
Rate = Annotated[float, Field(traced=True, above=0.0)]
Share = Annotated[float, Field(traced=True, at_least=0.0, at_most=1.0)]
# Static ones.
Count = Annotated[int, Field(at_least=1)]
Natural = Annotated[int, Field(at_least=0)]
Positive = Annotated[float, Field(above=0.0)]
NonNegative = Annotated[float, Field(at_least=0.0)]
Decay = Annotated[float, Field(at_least=0.0, below=1.0)]
Sizes = Annotated[tuple[int, ...], Field(at_least=1)]


class Parameter(NamedTuple):
    """A field of a method."""

    type: Any
    field: Field
    default: Any


@functools.cache
def fields_of(method: Callable[..., Any]) -> dict[str, Parameter]:
    """Returns the fields of a function or Linen module, by name."""
    found = {}
    for name, parameter in inspect.signature(method).parameters.items():
        _, *marks = get_args(parameter.annotation) or (None,)
        for mark in marks:
            if isinstance(mark, Field):
                type_ = get_args(parameter.annotation)[0]
                found[name] = Parameter(type_, mark, parameter.default)
    return found


def traced_of(method: Callable[..., Any], numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of the traced `numbers` that are fields of a method, which may be a
    `functools.partial`."""
    fields = fields_of(getattr(method, "func", method))
    return {name: numbers[name] for name in fields if fields[name].field.traced}


def same(*names: str) -> dict[str, str]:
    """Returns the menu of names that stand for themselves."""
    return dict(zip(names, names, strict=True))

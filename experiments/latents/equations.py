"""A decoder as equations that a browser can evaluate.

JAX traces the decoder, whatever its architecture and likelihood. Its equations are
written as JSON, and `experiments/equations.js.jinja` evaluates them.
"""

import base64
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

ELEMENTWISE = (
    *("abs", "add", "and", "clamp", "cos", "div", "eq", "erf", "exp", "expm1", "ge"),
    *("gt", "le", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg"),
    *("not", "or", "pow", "rsqrt", "select_n", "sign", "sin", "sqrt", "square", "sub"),
    *("tanh",),
)
# The primitives that the browser knows, and which of their parameters it reads.
PRIMITIVES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(ELEMENTWISE, ()),
    "broadcast_in_dim": ("broadcast_dimensions",),
    "concatenate": ("dimension",),
    "conv_general_dilated": (
        *("dimension_numbers", "window_strides", "padding", "lhs_dilation"),
        *("rhs_dilation", "feature_group_count"),
    ),
    "convert_element_type": ("new_dtype",),
    "dot_general": ("dimension_numbers",),
    "integer_pow": ("y",),
    "iota": ("dimension",),
    "pad": ("padding_config",),
    "reduce_max": ("axes",),
    "reduce_sum": ("axes",),
    "reshape": (),
    "rev": ("dimensions",),
    "slice": ("start_indices", "strides"),
    "squeeze": (),
    "transpose": ("permutation",),
}
SAME = ("copy", "copy_p", "optimization_barrier", "stop_gradient")
INNER = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where a call keeps what it calls
RENAMED = {"add_any": "add"}
FOLDED = 256  # values: larger ones are computed ahead if they do not grow
MOST_STEPS = 64  # of a loop that is unrolled
EXACT = 1024  # values: smaller arrays of weights are not rounded to float16
MOST_HALF = float(np.finfo(np.float16).max)


class Equations(NamedTuple):
    """A function of arrays; every array has a number."""

    inputs: list[int]
    output: int
    constants: dict[int, dict[str, Any]]  # see `pack`
    steps: list[tuple[Any, ...]]  # primitive, number, shape, operands, parameters
    unknown: list[str]  # primitives that the browser does not know


class _Variable(NamedTuple):
    number: int
    shape: tuple[int, ...]


def trace(function: Callable[..., jax.Array], *examples: jax.Array) -> Equations:
    """Returns the equations of a function of arrays like the examples."""
    closed = jax.make_jaxpr(function)(*examples)
    writer = _Writer()
    inputs = [writer.variable(x.shape) for x in examples]
    (output,) = writer.inline(closed.jaxpr, closed.consts, inputs)
    last = writer.number(output)
    used, steps = {last}, []
    for step in reversed(writer.steps):
        if step[1] in used:
            used.update(step[3])
            steps.append(step)
    return Equations(
        inputs=[x.number for x in inputs],
        output=last,
        constants={
            n: pack(x, halve=True) for n, x in writer.constants.items() if n in used
        },
        steps=steps[::-1],
        unknown=sorted({step[0] for step in steps} - set(PRIMITIVES)),
    )


def pack(array: Any, *, halve: bool = False) -> dict[str, Any]:
    """Returns an array for JSON: its shape, its type and its bytes in base64; to
    `halve` a large one rounds it to float16, unless a value is too large for that."""
    content = np.asarray(array, "<f4")
    if halve and content.size >= EXACT and np.abs(content).max() < MOST_HALF:
        content = content.astype("<f2")
    text = base64.b64encode(content.tobytes()).decode()
    return {"shape": content.shape, "type": content.dtype.name, "data": text}


class _Writer:
    """Writes the equations of a jaxpr and of all that it calls as one list, and
    computes ahead what depends on weights alone."""

    def __init__(self) -> None:
        self.steps: list[tuple[Any, ...]] = []
        self.constants: dict[int, Any] = {}
        self.known: dict[int, int] = {}  # by the identity of the array
        self.count = 0

    def variable(self, shape: Sequence[int]) -> _Variable:
        self.count += 1
        return _Variable(self.count, tuple(shape))

    def number(self, value: Any) -> int:
        """Returns the number of a variable, or of a new constant."""
        if isinstance(value, _Variable):
            return value.number
        if id(value) not in self.known:
            constant = self.variable(np.shape(value))
            self.known[id(value)] = constant.number
            self.constants[constant.number] = value
        return self.known[id(value)]

    def inline(self, jaxpr: Jaxpr, constants: Any, inputs: Any) -> list[Any]:
        """Writes the equations of a jaxpr; returns its outputs."""
        variables = (*jaxpr.constvars, *jaxpr.invars)
        values: dict[Any, Any] = dict(
            zip(variables, (*constants, *inputs), strict=True)
        )

        def read(variable: Any) -> Any:
            return variable.val if isinstance(variable, Literal) else values[variable]

        for equation in jaxpr.eqns:
            outputs = self._write(equation, [read(v) for v in equation.invars])
            values.update(zip(equation.outvars, outputs, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def _write(self, equation: JaxprEqn, inputs: list[Any]) -> list[Any]:
        name, params = equation.primitive.name, equation.params
        if name in SAME:
            return inputs
        if name == "scan" and (outputs := self._unroll(params, inputs)):
            return outputs
        inner = next((params[key] for key in INNER if key in params), None)
        if inner is not None and name != "scan":
            closed = inner if hasattr(inner, "jaxpr") else ClosedJaxpr(inner, ())
            return self.inline(closed.jaxpr, closed.consts, inputs)
        avals: list[Any] = [v.aval for v in equation.outvars]
        shapes = [aval.shape for aval in avals]
        if not any(isinstance(x, _Variable) for x in inputs):
            most = max([FOLDED, *map(np.size, inputs)])
            if all(math.prod(shape) <= most for shape in shapes):
                found = equation.primitive.bind(*inputs, **params)
                return list(found) if equation.primitive.multiple_results else [found]
        if name == "split":
            return self._split(params, inputs[0], shapes)
        if params.get("batch_group_count", 1) != 1:
            name += " of grouped batches"
        if any(min(ends) < 0 for ends in params.get("padding_config", ())):
            name += " by a negative width"
        return [self._step(name, shape, inputs, params) for shape in shapes]

    def _step(self, name: str, shape: Any, inputs: Any, params: Any) -> _Variable:
        name = RENAMED.get(name, name)
        if name in ELEMENTWISE:
            inputs = [self._broadcast(x, shape) for x in inputs]
        operands = [self.number(x) for x in inputs]
        variable = self.variable(shape)
        read = {key: _plain(params[key]) for key in PRIMITIVES.get(name, ())}
        self.steps.append((name, variable.number, variable.shape, operands, read))
        return variable

    def _broadcast(self, x: Any, shape: tuple[int, ...]) -> Any:
        """Returns an operand in the shape of the result, or a scalar as it is."""
        own = x.shape if isinstance(x, _Variable) else np.shape(x)
        if own in ((), shape):
            return x
        axes = {"broadcast_dimensions": tuple(range(len(shape)))}
        return self._step("broadcast_in_dim", shape, [x], axes)

    def _split(self, params: Any, x: Any, shapes: list[Any]) -> list[_Variable]:
        parts, start = [], 0
        for shape in shapes:
            starts = [start if i == params["axis"] else 0 for i in range(len(shape))]
            given = {"start_indices": starts, "strides": None}
            parts.append(self._step("slice", shape, [x], given))
            start += shape[params["axis"]]
        return parts

    def _unroll(self, params: Any, inputs: list[Any]) -> list[Any] | None:
        """Writes each step of a short loop over known values that collects none."""
        fixed, carry, xs = _parts_of_scan(params, inputs)
        closed = params["jaxpr"]
        collects = len(closed.jaxpr.outvars) > len(carry)
        if collects or params["length"] > MOST_STEPS:
            return None
        if any(isinstance(x, _Variable) for x in xs):
            return None
        places = range(params["length"])
        for i in reversed(places) if params["reverse"] else places:
            now = (*fixed, *carry, *(np.asarray(x)[i] for x in xs))
            carry = self.inline(closed.jaxpr, closed.consts, now)
        return carry


def _parts_of_scan(params: Any, inputs: list[Any]) -> tuple[list[Any], ...]:
    """Returns the inputs that are constant, carried and looped over."""
    if "ft_in" in params:  # since JAX 0.11
        return tuple(map(list, params["ft_in"].update(inputs).unpack()))
    first = params["num_consts"]
    last = first + params["num_carry"]
    return inputs[:first], inputs[first:last], inputs[last:]


def _plain(value: Any) -> Any:
    """Returns a parameter as JSON has it; of a type, its kind."""
    if isinstance(value, tuple | list):
        return [_plain(x) for x in value]
    if isinstance(value, int | np.integer):
        return int(value)
    if value is None:
        return None
    return np.dtype(value).kind

"""What is traced of a decoder, and that the browser evaluates it as JAX does."""

import base64
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import experiments
from experiments.latents.equations import (
    ELEMENTWISE,
    PRIMITIVES,
    Equations,
    pack,
    trace,
)
from tests.experiments.latents.conftest import config_of
from tests.helpers.counts import COUNTS, save_colours, save_counts
from tests.helpers.tables import save_table
from vae import rng
from vae.build import build
from vae.registry import DECODERS, LIKELIHOODS

SCRIPT = Path(experiments.__file__).with_name("equations.js.jinja").read_text()
NHWC, NCHW = ("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW")
POLYNOMIAL = jnp.array([0.3, -0.2, 0.5])


def normal(*shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(len(shape)), shape)


X = normal(1, 5, 6, 4)
KERNEL = jax.random.normal(jax.random.key(9), (4, 4, 4, 3))
FUNCTIONS: dict[str, tuple[Callable[..., jax.Array], tuple[jax.Array, ...]]] = {
    "transposed convolution": (
        lambda x, k: lax.conv_transpose(x, k, (2, 2), "SAME", dimension_numbers=NHWC),
        (X, KERNEL),
    ),
    "strided convolution": (
        lambda x, k: lax.conv_general_dilated(
            x, k, (2, 1), ((1, 2), (0, 3)), rhs_dilation=(1, 2), dimension_numbers=NHWC
        ),
        (X, normal(2, 3, 4, 3)),
    ),
    "channels first": (
        lambda x, k: lax.conv_general_dilated(
            x, k, (1, 1), "VALID", dimension_numbers=NCHW
        ),
        (normal(2, 4, 5, 6), normal(3, 4, 2, 2)),
    ),
    "grouped convolution": (
        lambda x, k: lax.conv_general_dilated(
            *(x, k, (1, 1), "SAME"), dimension_numbers=NHWC, feature_group_count=2
        ),
        (X, normal(3, 3, 2, 6)),
    ),
    "contractions": (
        lambda x, y: jnp.einsum("bhwc,bwkc->bkwh", x, y),
        (X, normal(1, 6, 7, 4)),
    ),
    "padding": (
        lambda x: lax.pad(x, 1.5, ((0, 0, 0), (0, 2, 1), (1, 0, 0), (2, 2, 2))),
        (X,),
    ),
    "slices": (lambda x: lax.slice(x, (0, 1, 2, 0), (1, 5, 6, 3), (1, 2, 2, 1)), (X,)),
    "reversal": (lambda x: x[:, ::-1, :, ::-1].transpose(3, 1, 0, 2), (X,)),
    "parts": (lambda x: jnp.concatenate(jnp.split(x, 2, -1)[::-1], 1), (X,)),
    "sums": (lambda x: x.sum((1, 3)) / x.max((0, 2)).sum(), (X,)),
    "broadcasting": (lambda x: x + jnp.arange(4.0) - x[:, :1], (X,)),
    "scalars": (lambda x: 1 - 2 * x[0, 0, 0, 0] * x, (X,)),
    "choices": (
        lambda x: jnp.where((x > 0) & (x <= 1) | (x == 2), x, -jnp.abs(x)).clip(-1, 2),
        (X,),
    ),
    "whole numbers": (
        lambda x: x.astype(int) * jnp.arange(4000).reshape(4, 1000)[:, 7],
        (3 * X,),
    ),
    "functions": (
        lambda x: (
            (jax.nn.softplus(x) + jnp.expm1(x) + lax.erf(x) + x**3)
            * (jnp.sqrt(1 + x**2) + lax.rsqrt(2 + jnp.cos(x)) + jnp.sin(x))
            + (jnp.log1p(jnp.square(x)) + jnp.tanh(x) + jnp.abs(x) ** 0.3)
            + jnp.log(jnp.maximum(x, 0.1)) * jnp.minimum(x, 1) * jnp.sign(x)
            + jax.nn.sigmoid(x)
        ),
        (X,),
    ),
    "a short loop": (lambda x: jnp.polyval(POLYNOMIAL, x), (X,)),
    "a large constant": (
        lambda x: x[0, 0] @ jnp.asarray(np.arange(2000).reshape(4, 500) - 1000.0),
        (X,),
    ),
}


@pytest.mark.slow
def test_the_browser_evaluates_as_jax_does(
    browse: Callable[..., str], tmp_path: Path
) -> None:
    cases = [
        [trace(function, *given)._asdict(), [listed(x) for x in given]]
        for function, given in FUNCTIONS.values()
    ]
    page = tmp_path / "page.html"
    page.write_text(
        f"<script>{SCRIPT}\nconst found = {json.dumps(cases)}.map(([equations, given])"
        " => [...compile(equations)(...given)]);"
        "document.documentElement.dataset.found = JSON.stringify(found);</script>"
    )
    (text,) = re.findall(r'data-found="(.*?)"', browse(page))
    for values, (name, (function, given)) in zip(
        json.loads(text), FUNCTIONS.items(), strict=True
    ):
        wanted = np.asarray(function(*given), float).ravel()
        np.testing.assert_allclose(values, wanted, 1e-5, 2e-6, err_msg=name)


def listed(x: jax.Array) -> dict[str, Any]:
    return {"shape": x.shape, "data": x.ravel().tolist()}


def test_both_languages_know_the_same_primitives() -> None:
    one, other = re.findall(r"const [A-Z]+ = \{\n(.*?)\n\};", SCRIPT, re.DOTALL)
    assert set(re.findall(r"^  (\w+)[:(]", other, re.MULTILINE)) == set(
        PRIMITIVES
    ) - set(ELEMENTWISE)
    assert set(re.findall(r"(?:^|, |\n) *(\w+)(?=[:,])(?! =>)", one)) >= set(
        ELEMENTWISE
    )


def traced(**changes: Any) -> Equations:
    """The equations of a decoder whose weights are zeros."""
    experiment = build(config_of(**changes))
    model, _ = experiment.make_own(4)

    def init(images: Any) -> Any:
        keys = rng.per_example(jax.random.key(0), jnp.arange(1))
        return model.init(keys[0], experiment.preprocess(images, keys), keys)

    shapes = jax.eval_shape(init, experiment.dataset.train[:1].images)
    variables = jax.tree.map(lambda of: jnp.zeros(of.shape, of.dtype), shapes)
    return trace(
        lambda z: model.apply(variables, z, method="decode").mean, jnp.zeros((1, 4))
    )


def check_complete(equations: Equations) -> None:
    """Every operand is there before it is needed."""
    assert not equations.unknown
    there = {*equations.inputs, *equations.constants}
    for name, number, _, operands, parameters in equations.steps:
        assert there.issuperset(operands)
        assert set(parameters) == set(PRIMITIVES[name])
        there.add(number)
    assert equations.output in there
    json.dumps(equations._asdict(), allow_nan=False)


OTHERS = {"mlp", "gated_mlp", "conv_locatello", "top_down"}  # the last needs its model
CONVOLUTIONAL = sorted(set(DECODERS) - OTHERS)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("name", "convolution"),
    [("gated_mlp", "auto"), *itertools.product(CONVOLUTIONAL, ("lax", "matmul"))],
)
def test_every_decoder_is_known(name: str, convolution: str) -> None:
    changes = {"model.decoder.name": name}
    if name in CONVOLUTIONAL:
        changes["model.decoder.convolution"] = convolution
    check_complete(traced(**changes))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", sorted(set(LIKELIHOODS) - {"bernoulli"}))
def test_every_likelihood_is_known(name: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"model.likelihood.name": name}
    changes["dataset.binarize"] = "none"
    if name in COUNTS:
        changes["dataset.name"] = save_counts(tmp_path / "counts.npz")
        changes["dataset.batch_size"] = 8
    if name.endswith("_rgb"):
        changes["dataset.name"] = save_colours(tmp_path / "colours.npz")
        changes["dataset.batch_size"] = 8
    if name == "per_column":
        changes["dataset.name"] = save_table(tmp_path / "table.csv")
        changes["dataset.column_kinds"] = ("visits:count",)
        changes["dataset.scale"] = "standardize"
        changes["dataset.batch_size"] = 8
    check_complete(traced(**changes))


@pytest.mark.parametrize(
    ("function", "unknown"),
    [
        (jnp.sort, ["sort"]),
        (lambda x: lax.pad(x, 0.0, ((-1, 0, 0),)), ["pad by a negative width"]),
        (lambda x: (jnp.sort(x), x + 1)[1], []),
        (lambda x: lax.while_loop(lambda y: y[0] < 9, lambda y: y + 1, x), ["while"]),
        (lambda x: jnp.polyval(jnp.ones(100), x, unroll=1), ["scan"]),
        (lambda x: jnp.polyval(x, 0.5), ["scan"]),
        (lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x), ["cond"]),
    ],
    ids=["sort", "crop", "unused", "while", "long", "over variables", "branches"],
)
def test_unknown_operations_are_named(function: Any, unknown: list[str]) -> None:
    assert trace(function, jnp.ones(3)).unknown == unknown


def test_what_depends_on_weights_alone_is_computed_ahead() -> None:
    weights = normal(40, 30)
    equations = trace(lambda x: x @ (2 * weights).T[::-1], jnp.zeros((1, 30)))
    assert [step[0] for step in equations.steps] == ["dot_general"]
    twice = trace(lambda x: (x * weights) / weights, weights)
    assert len(twice.constants) == 1
    grown = trace(lambda x: x + jnp.zeros((50, 30)), jnp.zeros((1, 30)))
    assert sum(np.prod(c["shape"]) for c in grown.constants.values()) <= 30


def test_large_arrays_are_halves_unless_a_value_is_too_large() -> None:
    values = np.linspace(-3, 3, 2000).reshape(2, 1000)
    packed = pack(values, halve=True)
    assert packed["type"] == "float16" and packed["shape"] == (2, 1000)
    np.testing.assert_allclose(content(packed), values.ravel(), atol=2e-3)
    for exact in (1e6 * values, values[:, :100]):
        found = content(pack(exact, halve=True))
        np.testing.assert_array_equal(found, exact.ravel().astype(np.float32))
    assert pack(values)["type"] == "float32"


def content(packed: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["data"]), packed["type"])

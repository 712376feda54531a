"""Methods declare the fields of the configuration that they read."""

import functools
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from flax import linen as nn

from configs import default
from vae.fields import Count, Field, Parameter, Weight, fields_of, same, traced_of
from vae.registry import MENUS

CONV = {"widths", "activation", "channels", "convolution"}
NETWORKS = {
    "mlp": {"widths", "activation", "normalization"},
    "gated_mlp": {"widths", "normalization"},
    "conv": CONV,
    "conv_locatello": {"convolution"},
    "resnet": {*CONV, "blocks"},
}
FLOW = {"num_layers", "widths", "scale"}
FIELDS: dict[str, dict[str, set[str]]] = {
    "encoder": NETWORKS,
    "decoder": NETWORKS,
    "posterior": {
        "diagonal_gaussian": {"scale"},
        "full_gaussian": set(),
        "planar_flow": {"num_layers", "scale"},
        "iaf": FLOW,
        "coupling_flow": FLOW,
        "von_mises_fisher": set(),
        "relaxed_categorical": {"num_classes", "temperature"},
        "vector_quantized": {"num_classes", "embedding_dim"},
    },
    "prior": {
        "standard_normal": set(),
        "conditional_gaussian": set(),
        "gaussian_mixture": {"num_components"},
        "vamp": {"num_components"},
        "realnvp": {"num_layers", "widths"},
        "uniform_on_sphere": set(),
        "uniform_codes": set(),
        "autoregressive_codes": {"widths"},
    },
    "likelihood": {
        "bernoulli": set(),
        "gaussian": {"scale"},
        "gaussian_shared": set(),
        "discretized_logistic_mixture": {"num_components"},
        "poisson": {"library"},
        "negative_binomial": {"library", "dispersion"},
        "zero_inflated_negative_binomial": {"library", "dispersion"},
        "multinomial": set(),
        "student_t": {"degrees"},
    },
}
CASES = [(part, name) for part, names in FIELDS.items() for name in names]


@pytest.mark.parametrize(("part", "name"), CASES)
def test_parts_of_a_model_read_their_fields_and_no_more(part: str, name: str) -> None:
    found = fields_of(MENUS[f"model.{part}"][name])
    assert found.keys() == FIELDS[part][name]
    config = default.get_config().model[part]
    for name, (_, field, value) in found.items():
        written = config[name]
        assert value == (written if field.menu is None else field.menu[written])


def method(
    size: float,
    plain: int = 2,
    *,
    weight: Weight = 3.0,
    count: Count = 1,
    kind: Annotated[str, Field(menu=same("one", "other"))] = "one",
) -> float:
    return size * weight


class Module(nn.Module):
    size: int
    count: Count = 4


def test_marked_parameters_are_fields() -> None:
    found = fields_of(method)
    assert [*found] == ["weight", "count", "kind"]
    assert found["weight"] == Parameter(float, Field(traced=True, at_least=0.0), 3.0)
    assert found["kind"].field.menu == {"one": "one", "other": "other"}
    assert fields_of(Module) == {"count": Parameter(int, Field(at_least=1), 4)}


@pytest.mark.parametrize("given", [method, functools.partial(method, count=2)])
def test_traced_numbers_are_passed_at_the_call(given: Callable[..., Any]) -> None:
    numbers = traced_of(given, {"weight": 5.0, "count": 7, "rate": 0.1})
    assert numbers == {"weight": 5.0}
    assert given(2.0, **numbers) == 10.0

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.helpers import architectures as small
from vae.nn.encoders import ConvEncoder
from vae.registry import ENCODERS
from vae.types import Unsupported


def make(name: str, **kwargs: Any) -> Any:
    return ENCODERS[name](**small.ARGUMENTS[name], **kwargs)


@pytest.mark.parametrize("labels", [None, 10])
@pytest.mark.parametrize("name", small.NAMES)
def test_shapes(name: str, labels: int | None) -> None:
    run, condition = make(name).init_with_output, small.condition(labels)
    features, _ = jax.eval_shape(run, small.make_key(), small.images(), condition)
    width = 256 if name == "conv_locatello" else small.WIDTHS[-1]
    assert features.shape == (2, width)


@pytest.mark.parametrize("side", [28, 6])
def test_images_that_cannot_be_halved_are_refused(side: int) -> None:
    image, key = np.zeros((1, side, side, 1)), small.make_key()
    reason = (
        f"halves the image 3 times, but {side}x{side} pixels cannot be divided by 8"
    )
    with pytest.raises(Unsupported, match=reason) as error:
        ConvEncoder((2, 2, 2), convolution="lax").init(key, image)
    assert error.value.part == "encoder"
    with pytest.raises(Unsupported, match="at least one convolution"):
        ConvEncoder(()).init(key, image)


@pytest.mark.parametrize("name", ["mlp", "gated_mlp", "conv", "resnet"])
def test_the_condition_changes_the_output(name: str) -> None:
    small.assert_depends_on_the_condition(make(name), small.images())


def test_conv_locatello_has_the_parameters_of_disentanglement_lib() -> None:
    # By hand from table 1 of arXiv 1811.12359, which agrees with conv_encoder of
    # disentanglement_lib: 304,064 and 5,140 of two heads.
    key, x = small.make_key(), np.zeros((1, 64, 64, 1))
    features, params = jax.eval_shape(make("conv_locatello").init_with_output, key, x)
    assert small.num_parameters(params) == 304_064
    heads = [jax.eval_shape(nn.Dense(10).init, key, features) for _ in range(2)]
    assert small.num_parameters(heads) == 5_140


def test_resnets_start_as_plain_convolutions() -> None:
    small.assert_starts_as_plain(make("resnet"), make("conv"), small.images())


@pytest.mark.parametrize("name", small.NAMES)
def test_bfloat16_computes_beside_float32_parameters(name: str) -> None:
    small.assert_computes_in_bfloat16(make(name, dtype=jnp.bfloat16), small.images())

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.helpers import architectures as small
from vae.nn.convnext import ConvNeXtBlock, DepthwiseConv
from vae.nn.decoders import ConvDecoder
from vae.nn.encoders import ConvEncoder
from vae.registry import DECODERS, ENCODERS


def images(channels: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 5, 6, channels))


@pytest.mark.slow
@pytest.mark.parametrize("convolution", ["matmul", "lax"])
def test_depthwise_convolutions_are_flax_ones(convolution: str) -> None:
    """With gradients, of the kernel and of the image."""
    x, bias = images(3).astype(np.float32), np.arange(3.0, dtype=np.float32)
    kernel = np.random.default_rng(1).normal(size=(7, 7, 1, 3)).astype(np.float32)
    theirs = nn.Conv(3, (7, 7), feature_group_count=3)

    def value(module: nn.Module, kernel: Any, x: Any) -> jax.Array:
        variables = {"params": {"kernel": kernel, "bias": bias}}
        return (module.apply(variables, x) ** 2).sum()

    compare = jax.value_and_grad(value, argnums=(1, 2))
    found, expected = (
        compare(m, kernel, x) for m in (DepthwiseConv(convolution), theirs)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-4), found, expected)


def test_a_block_has_the_parameters_of_the_papers() -> None:
    """Of its 96 channels in ConvNeXt-T: 49 C + C, 2 C, 4 C^2 + 4 C, 4 C^2 + C, C."""
    x = jnp.zeros((1, 7, 7, 96))
    params = jax.eval_shape(ConvNeXtBlock(nn.gelu).init, small.make_key(), x)
    assert small.num_parameters(params) == 8 * 96**2 + 58 * 96


@pytest.mark.slow
def test_a_block_computes_the_papers_figure() -> None:
    x = images(4)
    block = ConvNeXtBlock(nn.gelu)
    variables = block.init(small.make_key(), x)
    params = {**variables["params"], "scale": jnp.arange(4.0)}
    hidden = DepthwiseConv().apply({"params": params["depthwise"]}, x)
    centred = hidden - hidden.mean(-1, keepdims=True)
    normed = centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    wide = normed @ params["wide"]["kernel"]
    narrow = nn.gelu(wide) @ params["narrow"]["kernel"]
    found = block.apply({"params": params}, x)
    np.testing.assert_allclose(found, x + np.arange(4) * narrow, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_networks_start_as_plain_convolutions() -> None:
    shared = {**small.CONV, "activation": nn.gelu}
    make = ENCODERS["convnext"]
    small.assert_starts_as_plain(make(**shared), ConvEncoder(**shared), small.images())
    shape = small.IMAGE_SHAPE
    make, plain = DECODERS["convnext"](shape, **shared), ConvDecoder(shape, **shared)
    small.assert_starts_as_plain(make, plain, small.codes())


def test_bfloat16_computes_beside_float32_parameters() -> None:
    dtype = jnp.bfloat16
    make = ENCODERS["convnext"]
    small.assert_computes_in_bfloat16(make(**small.CONV, dtype=dtype), small.images())
    decoder = DECODERS["convnext"](small.IMAGE_SHAPE, **small.CONV, dtype=dtype)
    small.assert_computes_in_bfloat16(decoder, small.codes())

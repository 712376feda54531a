"""Encoder and decoder with the residual blocks of ConvNeXt.

References:
  Liu et al. 2022, arXiv 2201.03545 (figure 4).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae.fields import Natural
from vae.nn.convolutions import (
    Convolution,
    conv,
    is_product,
    kernel_and_bias,
    pad,
)
from vae.nn.decoders import ConvDecoder
from vae.nn.encoders import ConvEncoder
from vae.nn.layers import Activation, dense, density_dtype

KERNEL_SIZE = 7
EXPANSION = 4  # hidden channels of a block, in channels of the image
SCALE = 1e-6  # of a block at the start


class DepthwiseConv(nn.Module):
    """A 7x7 convolution of each channel by itself, [B, H, W, C] to the same shape.

    As products, it is a sum over 49 shifted copies of the image.
    """

    convolution: Convolution = "auto"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        _, height, width, channels = x.shape
        shape, init = (KERNEL_SIZE, KERNEL_SIZE, 1, channels), nn.initializers
        kernel, bias = kernel_and_bias(self, shape, kernel_init=init.lecun_normal())
        padded = pad(x.astype(self.dtype), KERNEL_SIZE // 2)
        if not is_product(self.convolution):
            return bias + conv(padded, kernel, groups=channels)
        shifted = (
            kernel[i, j] * padded[:, i : i + height, j : j + width]
            for i in range(KERNEL_SIZE)
            for j in range(KERNEL_SIZE)
        )
        return sum(shifted, bias)


class ConvNeXtBlock(nn.Module):
    """x + s * dense(act(dense(norm(depthwise(x))))), [B, H, W, C] to the same shape.

    The first dense layer has four times the channels. The scale s [C] starts at 1e-6,
    so that a block starts as the identity, nearly.
    """

    activation: Activation
    convolution: Convolution = "auto"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels, param_dtype = x.shape[-1], density_dtype(self.dtype)
        hidden = DepthwiseConv(self.convolution, self.dtype, name="depthwise")(x)
        norm = nn.LayerNorm(dtype=self.dtype, param_dtype=param_dtype, name="norm")
        wide = dense(EXPANSION * channels, "wide", self.dtype)(norm(hidden))
        narrow = dense(channels, "narrow", self.dtype)(self.activation(wide))
        init = nn.initializers.constant(SCALE)
        scale = self.param("scale", init, (channels,), param_dtype)
        return x + scale.astype(self.dtype) * narrow


class ConvNeXtEncoder(ConvEncoder):
    """`ConvEncoder` with ConvNeXt's blocks; the paper's activation is gelu."""

    blocks: Natural = 1
    block: Callable[..., nn.Module] = ConvNeXtBlock


class ConvNeXtDecoder(ConvDecoder):
    """`ConvDecoder` with ConvNeXt's blocks: `ConvNeXtEncoder` backwards."""

    blocks: Natural = 1
    block: Callable[..., nn.Module] = ConvNeXtBlock

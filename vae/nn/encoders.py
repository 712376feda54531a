"""Encoders: examples to features, from which a posterior is read.

All take an optional condition [B, G] (one-hot labels), which the dense layers see
beside the image or its features.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae.fields import Natural, Sizes
from vae.nn.convolutions import (
    Convolution,
    HalvingConv,
    ResidualBlock,
    ResidualBlocks,
)
from vae.nn.layers import (
    LOCATELLO,
    MLP,
    Activation,
    GatedMLP,
    Normalization,
    check_halvings,
    with_condition,
)


class MLPEncoder(nn.Module):
    """Dense layers on the flattened example; `brick` is `MLP` or `GatedMLP`."""

    widths: Sizes = (400,)
    activation: Activation = nn.relu
    dtype: Any = jnp.float32
    brick: Callable[..., nn.Module] = MLP
    normalization: Normalization = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array | None = None) -> jax.Array:
        """Maps images [B, H, W, C] or vectors [B, D], and a condition [B, G], to
        [B, widths[-1]]."""
        flat = with_condition(x.reshape(len(x), -1).astype(self.dtype), condition)
        return self.brick(
            self.widths,
            self.activation,
            self.dtype,
            self.normalization,
            self.axis_name,
            name="mlp",
        )(flat)


class ConvEncoder(nn.Module):
    """Convolutions of stride 2, one for each of `channels`, then dense layers.

    After each convolution come `blocks` residual blocks, then the activation.
    `kernel_sizes` are those of the convolutions, 4 or 2; empty, they are all 4.

    Raises:
      Unsupported: the image cannot be halved that often.
    """

    channels: Sizes = (32, 64)
    widths: Sizes = (400,)
    activation: Activation = nn.relu
    convolution: Convolution = "auto"
    dtype: Any = jnp.float32
    kernel_sizes: Sequence[int] = ()
    blocks: int = 0
    block: Callable[..., nn.Module] = ResidualBlock

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array | None = None) -> jax.Array:
        """Maps images [B, H, W, C] and a condition [B, G] to [B, widths[-1]]."""
        check_halvings(len(self.channels), x.shape[1:], part="encoder")
        shared = (self.activation, self.convolution, self.dtype, self.block)
        sizes = self.kernel_sizes or (4,) * len(self.channels)
        for i, (channels, size) in enumerate(zip(self.channels, sizes, strict=True)):
            conv = HalvingConv(
                channels, self.convolution, self.dtype, size, name=f"conv_{i}"
            )
            blocks = ResidualBlocks(self.blocks, *shared, name=f"blocks_{i}")
            x = self.activation(blocks(conv(x)))
        flat = with_condition(x.reshape(len(x), -1), condition)
        return MLP(self.widths, self.activation, self.dtype, name="mlp")(flat)


class ResNetEncoder(ConvEncoder):
    """`ConvEncoder` with residual blocks; it starts as the same one without them.

    References:
      He et al. 2016, arXiv 1603.05027.
    """

    blocks: Natural = 1


def gated_mlp(
    *,
    widths: Sizes = (400,),
    normalization: Normalization = None,
    dtype: Any = jnp.float32,
    axis_name: str | None = None,
) -> MLPEncoder:
    """Returns the gated encoder of Tomczak & Welling 2018 (arXiv 1705.07120, sec. 4);
    in their code the widths are (300, 300)."""
    return MLPEncoder(widths, nn.sigmoid, dtype, GatedMLP, normalization, axis_name)


def conv_locatello(
    *, convolution: Convolution = "auto", dtype: Any = jnp.float32
) -> ConvEncoder:
    """Returns the encoder of Locatello et al. 2019 (arXiv 1811.12359, table 1).

    Theirs are images of 64x64 pixels; any divisible by 16 will do.
    """
    return ConvEncoder(
        **LOCATELLO, convolution=convolution, dtype=dtype, kernel_sizes=(4, 4, 2, 2)
    )

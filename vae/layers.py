"""Bricks of encoders and decoders: dense layers and convolutions by two."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

Initializer = nn.initializers.Initializer
KERNEL_INIT = nn.initializers.glorot_uniform()


def dense(width: int, name: str, dtype: Any, **kwargs: Any) -> nn.Dense:
    """A Glorot-initialised dense layer; parameters stay at least float32."""
    return nn.Dense(
        width,
        name=name,
        dtype=dtype,
        param_dtype=jnp.promote_types(dtype, jnp.float32),
        kernel_init=KERNEL_INIT,
        **kwargs,
    )


def at_least_float32(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Raises bfloat16 to float32: densities are never computed in half precision."""
    return tuple(a.astype(jnp.promote_types(a.dtype, jnp.float32)) for a in arrays)


class MLP(nn.Module):
    """Dense layers, each followed by the activation."""

    widths: Sequence[int]
    activation: Callable[[jax.Array], jax.Array]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., F] to [..., widths[-1]]."""
        for i, width in enumerate(self.widths):
            x = self.activation(dense(width, f"dense_{i}", self.dtype)(x))
        return x


class HalvingConv(nn.Module):
    """A 4x4 convolution of stride 2 that halves [B, H, W, C] to [B, H/2, W/2, F].

    `method="lax"` is `lax.conv`. `method="matmul"` is the same function as one matrix
    product: each output sees 2x2 blocks of 2x2 pixels, and XLA on CPU is many times
    faster at products than at the gradients of strided convolutions.
    """

    channels: int
    method: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel, bias = _kernel_and_bias(self, x.shape[-1], nn.initializers.zeros)
        if self.method == "lax":
            return bias + jax.lax.conv_general_dilated(
                x.astype(self.dtype),
                kernel,
                window_strides=(2, 2),
                padding=((1, 1), (1, 1)),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        padded = jnp.pad(x.astype(self.dtype), ((0, 0), (1, 1), (1, 1), (0, 0)))
        patches = _neighbouring_blocks(_space_to_depth(padded))
        return bias + patches @ _as_matrix(kernel)


class DoublingConv(nn.Module):
    """The adjoint of `HalvingConv`: doubles an image, [B, H, W, C] to [B, 2H, 2W, F].

    Also known as a 4x4 transposed convolution of stride 2. As a matrix product, every
    input pixel paints a 4x4 patch of the output, and overlapping patches are added.
    """

    channels: int
    method: str
    bias_init: Initializer = nn.initializers.zeros
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel, bias = _kernel_and_bias(self, x.shape[-1], self.bias_init)
        x = x.astype(self.dtype)
        if self.method == "lax":
            return bias + jax.lax.conv_transpose(
                x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        # lax.conv_transpose correlates with the kernel; painting flips it.
        flipped = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
        painted = x @ _as_matrix(flipped).T
        return bias + _overlap_add(painted, self.channels)


def _kernel_and_bias(layer, in_channels: int, bias_init: Initializer):
    """Declares a layer's parameters: kernel [4, 4, in, out] as in `lax`, bias [out]."""
    param_dtype = jnp.promote_types(layer.dtype, jnp.float32)
    shape = (4, 4, in_channels, layer.channels)
    kernel = layer.param("kernel", KERNEL_INIT, shape, param_dtype)
    bias = layer.param("bias", bias_init, (layer.channels,), param_dtype)
    return kernel.astype(layer.dtype), bias.astype(layer.dtype)


def _as_matrix(kernel: jax.Array) -> jax.Array:
    """[4, 4, C, F] to [16 C, F], rows ordered (block, pixel in block, channel)."""
    _, _, channels, features = kernel.shape
    blocks = kernel.reshape(2, 2, 2, 2, channels, features)
    return blocks.transpose(0, 2, 1, 3, 4, 5).reshape(16 * channels, features)


def _space_to_depth(x: jax.Array) -> jax.Array:
    """[B, 2h, 2w, C] to [B, h, w, 4 C]: every 2x2 block becomes one long pixel."""
    b, height, width, c = x.shape
    blocks = x.reshape(b, height // 2, 2, width // 2, 2, c)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(b, height // 2, width // 2, 4 * c)


def _neighbouring_blocks(y: jax.Array) -> jax.Array:
    """[B, h+1, w+1, 4 C] to [B, h, w, 16 C]: each block beside its three neighbours."""
    shifted = (y[:, :-1, :-1], y[:, :-1, 1:], y[:, 1:, :-1], y[:, 1:, 1:])
    return jnp.concatenate(shifted, axis=-1)


def _overlap_add(painted: jax.Array, channels: int) -> jax.Array:
    """The adjoint of padding, `_space_to_depth` and `_neighbouring_blocks`.

    Args:
      painted: [B, h, w, 16 C], the patch that each pixel paints.
      channels: C.

    Returns:
      [B, 2h, 2w, C]
    """
    b, h, w, _ = painted.shape
    parts = jnp.split(painted, 4, axis=-1)
    paddings = [((i, 1 - i), (j, 1 - j)) for i in (0, 1) for j in (0, 1)]
    blocks = jnp.zeros((b, h + 1, w + 1, 4 * channels), painted.dtype)
    for part, (rows, columns) in zip(parts, paddings, strict=True):
        blocks += jnp.pad(part, ((0, 0), rows, columns, (0, 0)))
    blocks = blocks.reshape(b, h + 1, w + 1, 2, 2, channels)
    image = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(
        b, 2 * h + 2, 2 * w + 2, channels
    )
    return image[:, 1:-1, 1:-1]

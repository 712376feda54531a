"""Convolutions, each as a matrix product or as `lax.conv`, and residual blocks of them.

As matrix products they are many times faster on CPU, where XLA is slow at the gradients
of strided convolutions and at any convolution within a loop. Those of stride 2 are
faster as matrix products on a GPU, too.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae.fields import Field
from vae.nn.layers import KERNEL_INIT, Activation, Initializer, density_dtype

CONVOLUTIONS = {name: name for name in ("auto", "matmul", "lax")}
Convolution = Annotated[str, Field(menu=CONVOLUTIONS)]


def is_product(convolution: str, *, stride: int = 1) -> bool:
    """Says if convolutions are matrix products. "auto" makes them so on a CPU; on a GPU
    it does those of stride 2, where `lax.conv` took 4.6 times as long on an H200."""
    if convolution == "auto":
        backend = jax.default_backend()
        return backend == "cpu" or (backend == "gpu" and stride == 2)
    return convolution == "matmul"


class HalvingConv(nn.Module):
    """A convolution of stride 2 that halves an image, [B, H, W, C] to [B, H/2, W/2, F].

    `kernel_size` is 4, which sees beyond its stride, or 2. As a matrix product, each
    output sees blocks of 2x2 pixels (2x2 blocks, or one).
    """

    channels: int
    convolution: Convolution = "auto"
    dtype: Any = jnp.float32
    kernel_size: int = 4

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.channels)
        kernel, bias = kernel_and_bias(self, shape)
        x = x.astype(self.dtype)
        if is_product(self.convolution, stride=2):
            return bias + halve(x, kernel)
        padded = pad(x, self.kernel_size // 2 - 1)
        return bias + conv(padded, kernel, stride=2)


class SameConv(nn.Module):
    """A 3x3 convolution of stride 1, [B, H, W, C] to [B, H, W, F].

    As a matrix product, each output sees nine shifted copies of the image.
    """

    channels: int
    convolution: Convolution = "auto"
    kernel_init: Initializer = KERNEL_INIT
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (3, 3, x.shape[-1], self.channels)
        kernel, bias = kernel_and_bias(self, shape, kernel_init=self.kernel_init)
        x = pad(x.astype(self.dtype), 1)
        if is_product(self.convolution):
            matrix = kernel.reshape(-1, self.channels)
            return bias + _product(_neighbours(x, 3), matrix)
        return bias + conv(x, kernel)


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))) with 3x3 convolutions, [B, H, W, C] to the same.

    The last kernel starts at zero, so that a block starts as the identity and a deep
    stack trains without normalisation.

    References:
      He et al. 2016, arXiv 1603.05027, figure 1b (here without batch normalisation);
      Zhang et al. 2019, arXiv 1901.09321, for the zero kernel.
    """

    activation: Activation
    convolution: Convolution = "auto"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = partial(SameConv, x.shape[-1], self.convolution, dtype=self.dtype)
        hidden = conv(name="conv_0")(self.activation(x))
        last = conv(kernel_init=nn.initializers.zeros, name="conv_1")
        return x + last(self.activation(hidden))


class ResidualBlocks(nn.Module):
    """A chain of `count` residual blocks, maybe none, each a `block`."""

    count: int
    activation: Activation
    convolution: Convolution = "auto"
    dtype: Any = jnp.float32
    block: Callable[..., nn.Module] = ResidualBlock

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] to the same shape."""
        for i in range(self.count):
            block = self.block(
                self.activation, self.convolution, self.dtype, name=f"block_{i}"
            )
            x = block(x)
        return x


class DoublingConv(nn.Module):
    """The adjoint of `HalvingConv`: doubles an image, [B, H, W, C] to [B, 2H, 2W, F].

    Its kernel is always 4x4: also known as a 4x4 transposed convolution of stride 2. As
    a matrix product, each block of 2x2 outputs sees 2x2 inputs.
    """

    channels: int
    convolution: Convolution = "auto"
    bias_init: Initializer = nn.initializers.zeros
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (4, 4, x.shape[-1], self.channels)
        kernel, bias = kernel_and_bias(self, shape, bias_init=self.bias_init)
        x = x.astype(self.dtype)
        if is_product(self.convolution, stride=2):
            return bias + double(x, kernel)
        return bias + jax.lax.conv_transpose(
            x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )


Taps = Callable[[jax.Array, jax.Array], jax.Array]


def halve(x: jax.Array, kernel: jax.Array, apply_taps: Taps | None = None) -> jax.Array:
    """The convolution of stride 2 as one matrix product.

    Args:
      x: images [B, H, W, C].
      kernel: [k, k, C, F], k = 2 or 4.
      apply_taps: `side_by_side` or `shifted_sum`; None for what is faster.

    Returns:
      [B, H/2, W/2, F]
    """
    blocks = _space_to_depth(pad(x, len(kernel) // 2 - 1))
    if len(kernel) == 2:
        return _product(blocks, kernel.reshape(-1, kernel.shape[-1]))
    return (apply_taps or _narrower)(blocks, _taps(kernel))


def double(
    x: jax.Array, kernel: jax.Array, apply_taps: Taps | None = None
) -> jax.Array:
    """The transposed convolution of stride 2 as one matrix product.

    Args:
      x: images [B, H, W, C].
      kernel: [4, 4, C, F].
      apply_taps: see `halve`.

    Returns:
      [B, 2H, 2W, F]
    """
    # lax.conv_transpose correlates with the kernel, and taps are met in reverse.
    taps = jnp.swapaxes(_taps(jnp.swapaxes(kernel[::-1, ::-1], 2, 3)), 1, 2)
    blocks = (apply_taps or _narrower)(pad(x, 1), taps[::-1])
    return _depth_to_space(blocks)[:, 1:-1, 1:-1]


def side_by_side(y: jax.Array, taps: jax.Array) -> jax.Array:
    """A 2x2 convolution of stride 1: the pixels of a neighbourhood are set side by side
    before the product.

    Args:
      y: [B, h + 1, w + 1, C]
      taps: [4, C, F], for the pixel itself, right of it, below it, and below right.

    Returns:
      [B, h, w, F]
    """
    return _product(_neighbours(y, 2), taps.reshape(-1, taps.shape[-1]))


def shifted_sum(y: jax.Array, taps: jax.Array) -> jax.Array:
    """The same function as `side_by_side`: the taps' products are added after it."""
    products = _product(y, taps.swapaxes(0, 1).reshape(y.shape[-1], -1))
    h, w = y.shape[1] - 1, y.shape[2] - 1
    corners = [(i, j) for i in (0, 1) for j in (0, 1)]
    parts = jnp.split(products, 4, axis=-1)
    shifted = [
        part[:, i : i + h, j : j + w]
        for part, (i, j) in zip(parts, corners, strict=True)
    ]
    return sum(shifted[1:], shifted[0])


def _narrower(y: jax.Array, taps: jax.Array) -> jax.Array:
    """The faster of the two: their cost is in the memory for four times the channels,
    of the input or of the output."""
    _, channels, features = taps.shape
    return (side_by_side if channels <= features else shifted_sum)(y, taps)


def kernel_and_bias(
    layer: Any,
    shape: tuple[int, ...],
    *,
    kernel_init: Initializer = KERNEL_INIT,
    bias_init: Initializer = nn.initializers.zeros,
) -> tuple[jax.Array, jax.Array]:
    """Declares a layer's kernel [k, k, in, out], as in `lax`, and its bias [out]."""
    param_dtype = density_dtype(layer.dtype)
    kernel = layer.param("kernel", kernel_init, shape, param_dtype)
    bias = layer.param("bias", bias_init, shape[-1:], param_dtype)
    return kernel.astype(layer.dtype), bias.astype(layer.dtype)


def pad(x: jax.Array, margin: int) -> jax.Array:
    """Surrounds images [B, H, W, C] by `margin` zeros on every side."""
    return jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))


def conv(
    padded: jax.Array, kernel: jax.Array, *, stride: int = 1, groups: int = 1
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        padded,
        kernel,
        window_strides=(stride, stride),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _taps(kernel: jax.Array) -> jax.Array:
    """[4, 4, C, F] to [4, 4 C, F]: a matrix for each of 2x2 blocks of 2x2 pixels."""
    _, _, channels, features = kernel.shape
    blocks = kernel.reshape(2, 2, 2, 2, channels, features)
    return blocks.transpose(0, 2, 1, 3, 4, 5).reshape(4, 4 * channels, features)


def _product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """[B, h, w, C] times [C, F]. As one product of matrices: with three leading axes
    XLA on CPU transposes the images in memory for the matrix's gradient."""
    return (x.reshape(-1, x.shape[-1]) @ matrix).reshape(*x.shape[:-1], -1)


def _space_to_depth(x: jax.Array) -> jax.Array:
    """[B, 2h, 2w, C] to [B, h, w, 4 C]: every 2x2 block becomes one long pixel."""
    b, height, width, c = x.shape
    blocks = x.reshape(b, height // 2, 2, width // 2, 2, c)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(b, height // 2, width // 2, 4 * c)


def _depth_to_space(y: jax.Array) -> jax.Array:
    """The inverse of `_space_to_depth`."""
    b, h, w, c = y.shape
    blocks = y.reshape(b, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(b, 2 * h, 2 * w, c // 4)


def _neighbours(y: jax.Array, size: int) -> jax.Array:
    """Sets each pixel beside those to its right and below, `size` x `size` in all.

    Args:
      y: [B, h + size - 1, w + size - 1, C]
      size: pixels of a neighbourhood in each direction.

    Returns:
      [B, h, w, size * size * C]
    """
    h, w = y.shape[1] - size + 1, y.shape[2] - size + 1
    shifted = [y[:, i : i + h, j : j + w] for i in range(size) for j in range(size)]
    return jnp.concatenate(shifted, axis=-1)

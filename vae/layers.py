"""Bricks of encoders and decoders: dense layers, convolutions, residual blocks."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

Activation = Callable[[jax.Array], jax.Array]
Initializer = nn.initializers.Initializer
KERNEL_INIT = nn.initializers.glorot_uniform()

# What encoder and decoder of Locatello et al. 2019 (arXiv 1811.12359, table 1) share.
LOCATELLO: dict[str, Any] = {
    "channels": (32, 32, 64, 64),
    "widths": (256,),
    "activation": nn.relu,
}


def dense(width: int, name: str | None, dtype: Any, **kwargs: Any) -> nn.Dense:
    """A dense layer, Glorot-initialised unless `kwargs` say otherwise; parameters stay
    at least float32."""
    param_dtype = jnp.promote_types(dtype, jnp.float32)
    fields = {"kernel_init": KERNEL_INIT, "param_dtype": param_dtype} | kwargs
    return nn.Dense(width, name=name, dtype=dtype, **fields)


def at_least_float32(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Raises bfloat16 to float32: densities are never computed in half precision."""
    return tuple(a.astype(jnp.promote_types(a.dtype, jnp.float32)) for a in arrays)


def track(average: jax.Array, target: jax.Array) -> jax.Array:
    """Returns a scalar zero whose gradient moves a moving average towards `target`.

    The gradient by `average` is average - target, and none flows into `target`; so one
    step of gradient descent with rate 1 - decay is one step of an exponential moving
    average. Parameters trained so are called `average_...`, and the optimizer takes
    exactly such steps on them: pure, and equal on one device and many.
    """
    value = ((average - jax.lax.stop_gradient(target)) ** 2).sum() / 2
    return value - jax.lax.stop_gradient(value)


def with_condition(features: jax.Array, condition: jax.Array | None) -> jax.Array:
    """Returns the condition [N, G], if there is one, and after it features [N, F]."""
    if condition is None:
        return features
    return jnp.concatenate((condition.astype(features.dtype), features), axis=-1)


class MLP(nn.Module):
    """Dense layers, each followed by the activation."""

    widths: Sequence[int]
    activation: Activation
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., F] to [..., widths[-1]]."""
        for i, width in enumerate(self.widths):
            x = self.activation(dense(width, f"dense_{i}", self.dtype)(x))
        return x


class GatedMLP(MLP):
    """Dense layers h = (W x + b) * activation(V x + c): the activation is the gate's.

    References:
      Dauphin et al. 2017, arXiv 1612.08083, eq. 1, and Tomczak & Welling 2018,
      arXiv 1705.07120, section 4, both with a sigmoid gate.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., F] to [..., widths[-1]]."""
        for i, width in enumerate(self.widths):
            gate = self.activation(dense(width, f"gate_{i}", self.dtype)(x))
            x = dense(width, f"dense_{i}", self.dtype)(x) * gate
        return x


class HalvingConv(nn.Module):
    """A convolution of stride 2 that halves an image, [B, H, W, C] to [B, H/2, W/2, F].

    `kernel_size` is even; 4 sees beyond its stride, 2 does not. `method="lax"` is
    `lax.conv`. `method="matmul"` is the same function as one matrix product: each
    output sees blocks of 2x2 pixels (2x2 blocks, or one), and XLA on CPU is many times
    faster at products than at the gradients of strided convolutions.
    """

    channels: int
    method: str
    dtype: Any = jnp.float32
    kernel_size: int = 4

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.channels)
        kernel, bias = _kernel_and_bias(self, shape)
        x = _pad(x.astype(self.dtype), self.kernel_size // 2 - 1)
        if self.method == "lax":
            return bias + _conv(x, kernel, stride=2)
        patches = _neighbours(_space_to_depth(x), self.kernel_size // 2)
        return bias + patches @ _as_matrix(kernel)


class SameConv(nn.Module):
    """A 3x3 convolution of stride 1, [B, H, W, C] to [B, H, W, F].

    As a matrix product, each output sees nine shifted copies of the image.
    """

    channels: int
    method: str
    kernel_init: Initializer = KERNEL_INIT
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (3, 3, x.shape[-1], self.channels)
        kernel, bias = _kernel_and_bias(self, shape, kernel_init=self.kernel_init)
        x = _pad(x.astype(self.dtype), 1)
        if self.method == "lax":
            return bias + _conv(x, kernel, stride=1)
        return bias + _neighbours(x, 3) @ kernel.reshape(-1, self.channels)


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))) with 3x3 convolutions, [B, H, W, C] to the same.

    The last kernel starts at zero, so that a block starts as the identity and a deep
    stack trains without normalisation.

    References:
      He et al. 2016, arXiv 1603.05027, figure 1b (here without batch normalisation);
      Zhang et al. 2019, arXiv 1901.09321, for the zero kernel.
    """

    activation: Activation
    method: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = partial(SameConv, x.shape[-1], self.method, dtype=self.dtype)
        hidden = conv(name="conv_0")(self.activation(x))
        last = conv(kernel_init=nn.initializers.zeros, name="conv_1")
        return x + last(self.activation(hidden))


class ResidualBlocks(nn.Module):
    """A chain of `count` residual blocks, maybe none."""

    count: int
    activation: Activation
    method: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] to the same shape."""
        for i in range(self.count):
            block = ResidualBlock(
                self.activation, self.method, self.dtype, name=f"block_{i}"
            )
            x = block(x)
        return x


class DoublingConv(nn.Module):
    """The adjoint of `HalvingConv`: doubles an image, [B, H, W, C] to [B, 2H, 2W, F].

    Its kernel is always 4x4: also known as a 4x4 transposed convolution of stride 2. As
    a matrix product, every input pixel paints a 4x4 patch of the output, and
    overlapping patches are added.
    """

    channels: int
    method: str
    bias_init: Initializer = nn.initializers.zeros
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (4, 4, x.shape[-1], self.channels)
        kernel, bias = _kernel_and_bias(self, shape, bias_init=self.bias_init)
        x = x.astype(self.dtype)
        if self.method == "lax":
            return bias + jax.lax.conv_transpose(
                x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        # lax.conv_transpose correlates with the kernel; painting flips it.
        flipped = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
        painted = x @ _as_matrix(flipped).T
        return bias + _overlap_add(painted, self.channels)


def _kernel_and_bias(
    layer: Any,
    shape: tuple[int, ...],
    *,
    kernel_init: Initializer = KERNEL_INIT,
    bias_init: Initializer = nn.initializers.zeros,
) -> tuple[jax.Array, jax.Array]:
    """Declares a layer's kernel [k, k, in, out], as in `lax`, and its bias [out]."""
    param_dtype = jnp.promote_types(layer.dtype, jnp.float32)
    kernel = layer.param("kernel", kernel_init, shape, param_dtype)
    bias = layer.param("bias", bias_init, shape[-1:], param_dtype)
    return kernel.astype(layer.dtype), bias.astype(layer.dtype)


def _pad(x: jax.Array, margin: int) -> jax.Array:
    """Surrounds images [B, H, W, C] by `margin` zeros on every side."""
    return jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))


def _conv(padded: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    return jax.lax.conv_general_dilated(
        padded,
        kernel,
        window_strides=(stride, stride),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _as_matrix(kernel: jax.Array) -> jax.Array:
    """[k, k, C, F] to [k k C, F], rows ordered (block, pixel in block, channel)."""
    size, _, channels, features = kernel.shape
    blocks = kernel.reshape(size // 2, 2, size // 2, 2, channels, features)
    return blocks.transpose(0, 2, 1, 3, 4, 5).reshape(-1, features)


def _space_to_depth(x: jax.Array) -> jax.Array:
    """[B, 2h, 2w, C] to [B, h, w, 4 C]: every 2x2 block becomes one long pixel."""
    b, height, width, c = x.shape
    blocks = x.reshape(b, height // 2, 2, width // 2, 2, c)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(b, height // 2, width // 2, 4 * c)


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


def _overlap_add(painted: jax.Array, channels: int) -> jax.Array:
    """The adjoint of `_pad`, `_space_to_depth` and `_neighbours`, for 4x4 kernels.

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

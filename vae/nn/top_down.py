"""Residual networks over several resolutions: `BottomUpEncoder` goes from an image to
ever smaller ones, `TopDownDecoder` goes back, through a group of codes at each block.

References:
  Child 2020, arXiv 2011.10650, figure 3 and appendix A.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae.fields import Count, Field
from vae.nn.convolutions import Convolution, SameConv
from vae.nn.layer_strings import parse_fall, parse_rise
from vae.nn.layers import Initializer, dense, density_dtype, with_condition
from vae.types import Unsupported

Layers = Annotated[str, Field()]
Part = Annotated[float, Field(above=0.0, at_most=1.0)]  # of the width
# (number of the block, h [N, R, R, W], what the prior's Gaussian is made of
# [N, R, R, 2 C] or None) -> codes [N, R, R, C]
ChooseCodes = Callable[[int, jax.Array, jax.Array | None], jax.Array]
LARGEST_BIAS = 64  # the largest resolution with a bias of its own at each position
gelu = partial(nn.gelu, approximate=False)


def fan_in_uniform(share: float = 1.0) -> Initializer:
    """Kernels of variance share / (3 fan in), as the paper's code has them."""
    return nn.initializers.variance_scaling(share / 3, "fan_in", "uniform")


class Bottleneck(nn.Module):
    """GELU and a convolution, four times: 1x1 to `middle` channels, two of 3x3, and 1x1
    to `channels`. At resolutions 1 and 2 those of 3x3 are 1x1."""

    middle: int
    channels: int
    last_init: Initializer = fan_in_uniform()
    convolution: Convolution = "auto"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images [N, R, R, C] to [N, R, R, channels]."""
        init = fan_in_uniform()
        x = _pointwise(self.middle, "conv_0", self.dtype, init)(gelu(x))
        for name in ("conv_1", "conv_2"):
            if x.shape[1] > 2:
                conv = SameConv(
                    self.middle, self.convolution, init, self.dtype, name=name
                )
            else:
                conv = _pointwise(self.middle, name, self.dtype, init)
            x = conv(gelu(x))
        return _pointwise(self.channels, "conv_3", self.dtype, self.last_init)(gelu(x))


class BottomUpEncoder(nn.Module):
    """A 3x3 convolution, then residual `Bottleneck`s, some followed by average pooling.

    Raises:
      Unsupported: the layers cannot be read, or do not fit the image.
    """

    layers: Layers = "32x1,32d2,16x1,16d2,8x1,8d2,4x1,4d4,1x1"
    width: Count = 64
    bottleneck: Part = 0.25
    convolution: Convolution = "auto"
    dtype: Any = jnp.float32
    every_resolution: bool = False  # as the model `top_down` needs

    def __post_init__(self) -> None:
        parse_rise(self.layers)
        super().__post_init__()

    @property
    def middle(self) -> int:
        """The channels within a block."""
        return max(1, math.floor(self.width * self.bottleneck))

    @property
    def resolutions(self) -> set[int]:
        """Those of its activations."""
        (*_, last) = layers = parse_rise(self.layers)
        final = last.resolution // (last.other or 1)
        return {*(layer.resolution for layer in layers), final}

    @nn.compact
    def __call__(self, x: jax.Array, condition: jax.Array | None = None) -> Any:
        """Maps images [B, R, R, C], and a condition [B, G], to the last activations and
        it, flat [B, F]; or, for `every_resolution`, to a dictionary with the last at
        each resolution r, [B, r, r, width], after pooling (`32d2` gives them at 16)."""
        layers = parse_rise(self.layers)
        check_side(layers[0].resolution, x.shape[1:], part="encoder")
        init = fan_in_uniform(1 / len(layers))
        x = SameConv(
            self.width, self.convolution, fan_in_uniform(), self.dtype, name="input"
        )(x)
        activations = {layers[0].resolution: x}
        for i, (_, rate) in enumerate(layers):
            block = Bottleneck(
                *(self.middle, self.width, init, self.convolution, self.dtype),
                name=f"block_{i}",
            )
            x = x + block(x)
            if rate is not None:
                x = pool(x, rate)
            activations[x.shape[1]] = x
        if self.every_resolution:
            return activations
        return with_condition(x.reshape(len(x), -1), condition)


class TopDownBlock(nn.Module):
    """h + f(h) + W z, then a residual `Bottleneck`. z is the code of the block, which
    computes the parameters of its prior p(z | h)."""

    middle: int
    share: float  # of the variance of the last kernels
    has_prior: bool  # whether it makes p(z | h)
    convolution: Convolution = "auto"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        h: jax.Array,
        channels: int,
        choose: Callable[[jax.Array, jax.Array | None], jax.Array],
    ) -> jax.Array:
        """Maps h [N, R, R, W] to the same shape, by codes that have so many channels
        and that `choose` returns; see `ChooseCodes`."""
        width, zeros = h.shape[-1], nn.initializers.zeros
        shared = {"convolution": self.convolution, "dtype": self.dtype}
        size = 2 * channels * self.has_prior
        before = Bottleneck(self.middle, size + width, zeros, **shared, name="prior")(h)
        z = choose(h, before[..., :size] if size else None)
        init = fan_in_uniform(self.share)
        project = _pointwise(width, "project", self.dtype, init)
        h = h + before[..., size:] + project(z.astype(self.dtype))
        return h + Bottleneck(self.middle, width, init, **shared, name="residual")(h)


class TopDownDecoder(nn.Module):
    """A `TopDownBlock` for each layer, from 1x1 to the image. Each resolution begins
    with learned biases; images are unpooled to larger ones by repetition.

    The decoder does not compute the prior of the first block's codes.

    Raises:
      Unsupported: the layers cannot be read, or do not fit the image or the codes.
    """

    event_shape: tuple[int, ...]
    layers: Layers = "1x1,4m1,8m4,16m8,16x1,32m16,32x1"
    width: Count = 64
    bottleneck: Part = 0.25
    bias_init: Initializer = nn.initializers.zeros
    convolution: Convolution = "auto"
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        parse_fall(self.layers)
        super().__post_init__()

    @property
    def middle(self) -> int:
        """The channels within a block."""
        return max(1, math.floor(self.width * self.bottleneck))

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Those of the blocks."""
        return tuple(layer.resolution for layer in parse_fall(self.layers))

    def __call__(self, z: jax.Array, condition: jax.Array | None = None) -> jax.Array:
        """Maps the codes of all groups side by side [N, D], those of the last block
        first, to features [N, *event_shape]."""
        positions = sum(r**2 for r in self.resolutions)
        if z.shape[-1] % positions or condition is not None:
            raise Unsupported(
                f"takes codes at {positions} positions, as the model top_down has, and "
                "no labels",
                "decoder",
            )
        codes = self.split(z)
        return self.descend(
            len(z), z.shape[-1] // positions, lambda i, h, made: codes[i]
        )

    @nn.nowrap
    def split(self, z: jax.Array) -> list[jax.Array]:
        """Returns the codes [N, R, R, C] of each block of z [N, D]."""
        positions = [r**2 for r in reversed(self.resolutions)]
        channels = z.shape[-1] // sum(positions)
        ends = [channels * sum(positions[:i]) for i in range(1, len(positions))]
        flat = jnp.split(z, ends, -1)[::-1]
        return [
            codes.reshape(len(z), r, r, channels)
            for codes, r in zip(flat, self.resolutions, strict=True)
        ]

    @nn.compact
    def descend(self, count: int, channels: int, choose: ChooseCodes) -> jax.Array:
        """Returns features [count, *event_shape], by codes of so many channels."""
        layers = parse_fall(self.layers)
        side = max(self.resolutions)
        check_side(side, self.event_shape, part="decoder")
        h = self._start(count)
        for i, (resolution, source) in enumerate(layers):
            x = h[resolution]
            if source is not None:
                x = x + unpool(h[source], resolution // source)
            block = TopDownBlock(
                *(self.middle, 1 / len(layers), i > 0),
                *(self.convolution, self.dtype),
                name=f"block_{i}",
            )
            h[resolution] = block(x, channels, partial(choose, i))
        gain, bias = (
            self._param(name, init, self.width)
            for name, init in (
                ("gain", nn.initializers.ones),
                ("bias", nn.initializers.zeros),
            )
        )
        return dense(
            *(self.event_shape[-1], "output", self.dtype),
            kernel_init=fan_in_uniform(),
            bias_init=self.bias_init,
        )(h[side] * gain + bias)

    def _start(self, count: int) -> dict[int, jax.Array]:
        """Returns the biases [count, R, R, width] of each resolution."""
        start = {}
        for r in sorted({*self.resolutions}):
            shape = (r, r, self.width)
            bias = jnp.zeros(shape, self.dtype)
            if r <= LARGEST_BIAS:
                bias = self._param(f"bias_{r}", nn.initializers.zeros, *shape)
            start[r] = jnp.broadcast_to(bias, (count, *shape))
        return start

    def _param(self, name: str, init: Initializer, *shape: int) -> jax.Array:
        value = self.param(name, init, shape, density_dtype(self.dtype))
        return value.astype(self.dtype)


def pool(x: jax.Array, rate: int) -> jax.Array:
    """Averages squares of so many pixels a side: [N, H, W, C] to [N, H/r, W/r, C]."""
    count, height, width, channels = x.shape
    squares = x.reshape(count, height // rate, rate, width // rate, rate, channels)
    return squares.mean((2, 4))


def unpool(x: jax.Array, rate: int) -> jax.Array:
    """Repeats pixels: [N, H, W, C] to [N, H r, W r, C]."""
    return x.repeat(rate, 1).repeat(rate, 2)


def check_side(side: int, shape: Sequence[int], *, part: str) -> None:
    """Refuses examples of a shape [H, W, C] that is not `side` pixels high and wide.

    Raises:
      Unsupported: the examples have another shape.
    """
    if (*shape[:-1],) != (side, side):
        text = "x".join(map(str, shape[:-1] if len(shape) == 3 else shape))
        what = f"images of {text} pixels" if len(shape) == 3 else f"vectors [{text}]"
        raise Unsupported(
            f"has layers for images of {side}x{side} pixels, and the data are {what}: "
            + ("begin" if part == "encoder" else "end")
            + " its layers at the side of a square image",
            part,
        )


def _pointwise(channels: int, name: str, dtype: Any, init: Initializer) -> nn.Dense:
    """A 1x1 convolution."""
    return dense(channels, name, dtype, kernel_init=init)

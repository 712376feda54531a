"""Decoders: latent codes to the features from which a likelihood is read.

All take an optional condition [N, G] (one-hot labels), which stands beside the code.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vae.fields import Natural, Sizes
from vae.nn.convolutions import (
    Convolution,
    DoublingConv,
    ResidualBlock,
    ResidualBlocks,
)
from vae.nn.layers import (
    LOCATELLO,
    MLP,
    Activation,
    GatedMLP,
    Initializer,
    Normalization,
    check_halvings,
    dense,
    with_condition,
)


def bias_from_mean(
    mean: np.ndarray, features_of_mean: Callable[[np.ndarray], np.ndarray]
) -> Initializer:
    """Returns an initialiser of output biases at which the decoder gives `mean`.

    Args:
      mean: the mean image [H, W, C] or vector [D]. A layer that shares its biases
        over the image starts at the mean of each channel.
      features_of_mean: from mean pixels [..., C] to the likelihood's features
        [..., C * features_per_channel].
    """
    of_image = features_of_mean(mean)
    of_channels = features_of_mean(mean.mean(tuple(range(mean.ndim - 1))))

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        del key
        values = of_image if int(np.prod(shape)) == of_image.size else of_channels
        return jnp.asarray(values, dtype).reshape(shape)

    return init


class MLPDecoder(nn.Module):
    """Dense layers, the last linear: `MLPEncoder` backwards, so `widths` are given in
    the encoder's order, from the image inwards."""

    event_shape: tuple[int, ...]
    widths: Sizes = (400,)
    activation: Activation = nn.relu
    bias_init: Initializer = nn.initializers.zeros
    dtype: Any = jnp.float32
    brick: Callable[..., nn.Module] = MLP
    normalization: Normalization = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, condition: jax.Array | None = None) -> jax.Array:
        """Maps codes [N, D] and a condition [N, G] to features [N, *event_shape]."""
        z = with_condition(z, condition)
        widths = tuple(reversed(self.widths))
        hidden = self.brick(
            widths,
            self.activation,
            self.dtype,
            self.normalization,
            self.axis_name,
            name="mlp",
        )(z)
        size = int(np.prod(self.event_shape))
        output = dense(size, "output", self.dtype, bias_init=self.bias_init)(hidden)
        return output.reshape(len(z), *self.event_shape)


class ConvDecoder(nn.Module):
    """Dense layers, then 4x4 transposed convolutions of stride 2: `ConvEncoder`
    backwards, so `channels` and `widths` are given in the encoder's order.

    Before each convolution come the activation and `blocks` residual blocks.

    Raises:
      Unsupported: the image cannot be halved that often.
    """

    event_shape: tuple[int, ...]
    channels: Sizes = (32, 64)
    widths: Sizes = (400,)
    activation: Activation = nn.relu
    bias_init: Initializer = nn.initializers.zeros
    convolution: Convolution = "auto"
    dtype: Any = jnp.float32
    blocks: int = 0
    block: Callable[..., nn.Module] = ResidualBlock

    @nn.compact
    def __call__(self, z: jax.Array, condition: jax.Array | None = None) -> jax.Array:
        """Maps codes [N, D] and a condition [N, G] to features [N, *event_shape]."""
        check_halvings(len(self.channels), self.event_shape, part="decoder")
        height, width, features = self.event_shape
        scale = 2 ** len(self.channels)
        small = (height // scale, width // scale, self.channels[-1])
        widths = (*reversed(self.widths), int(np.prod(small)))
        mlp = MLP(widths, self.activation, self.dtype, name="mlp")
        x = mlp(with_condition(z, condition)).reshape(len(z), *small)
        shared = (self.activation, self.convolution, self.dtype, self.block)
        for i, channels in enumerate(reversed(self.channels[:-1])):
            conv = DoublingConv(
                channels, self.convolution, dtype=self.dtype, name=f"conv_{i}"
            )
            blocks = ResidualBlocks(self.blocks, *shared, name=f"blocks_{i}")
            x = self.activation(conv(blocks(x)))
        output = DoublingConv(
            features, self.convolution, self.bias_init, self.dtype, name="output"
        )
        return output(ResidualBlocks(self.blocks, *shared, name="blocks_output")(x))


class ResNetDecoder(ConvDecoder):
    """`ConvDecoder` with residual blocks: `ResNetEncoder` backwards. It starts as the
    same decoder without them.

    References:
      He et al. 2016, arXiv 1603.05027.
    """

    blocks: Natural = 1


def gated_mlp(
    *,
    event_shape: tuple[int, ...],
    widths: Sizes = (400,),
    normalization: Normalization = None,
    bias_init: Initializer = nn.initializers.zeros,
    dtype: Any = jnp.float32,
    axis_name: str | None = None,
) -> MLPDecoder:
    """Returns the gated decoder of Tomczak & Welling 2018 (arXiv 1705.07120, sec. 4);
    in their code the widths are (300, 300)."""
    return MLPDecoder(
        event_shape,
        widths,
        nn.sigmoid,
        bias_init,
        dtype,
        GatedMLP,
        normalization,
        axis_name,
    )


def conv_locatello(
    *,
    event_shape: tuple[int, ...],
    convolution: Convolution = "auto",
    bias_init: Initializer = nn.initializers.zeros,
    dtype: Any = jnp.float32,
) -> ConvDecoder:
    """Returns the decoder of Locatello et al. 2019 (arXiv 1811.12359, table 1).

    Theirs are images of 64x64 pixels; any divisible by 16 will do.
    """
    return ConvDecoder(
        event_shape,
        **LOCATELLO,
        bias_init=bias_init,
        convolution=convolution,
        dtype=dtype,
    )

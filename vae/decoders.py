"""Decoders: latent codes to the features from which a likelihood is read."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vae.layers import MLP, DoublingConv, Initializer, dense


def bias_from_mean(
    mean: np.ndarray, features_of_mean: Callable[[np.ndarray], np.ndarray]
) -> Initializer:
    """Returns an initialiser of output biases at which the decoder gives `mean`.

    Args:
      mean: the mean image [H, W, C]. A layer that shares its biases over the image
        starts at the mean of each channel.
      features_of_mean: from mean pixels to the likelihood's features.
    """

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        del key
        values = mean if int(np.prod(shape)) == mean.size else mean.mean((0, 1))
        return jnp.asarray(features_of_mean(values), dtype).reshape(shape)

    return init


class MLPDecoder(nn.Module):
    """Dense layers, the last linear: `MLPEncoder` backwards, so `widths` are given in
    the encoder's order, from the image inwards."""

    widths: Sequence[int]
    activation: Callable[[jax.Array], jax.Array]
    image_shape: tuple[int, int, int]
    bias_init: Initializer
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Maps codes [N, D] to features [N, H, W, C], with C as in `image_shape`."""
        widths = tuple(reversed(self.widths))
        hidden = MLP(widths, self.activation, self.dtype, name="mlp")(z)
        size = int(np.prod(self.image_shape))
        output = dense(size, "output", self.dtype, bias_init=self.bias_init)(hidden)
        return output.reshape(len(z), *self.image_shape)


class ConvDecoder(nn.Module):
    """Dense layers, then 4x4 transposed convolutions of stride 2: `ConvEncoder`
    backwards, so `channels` and `widths` are given in the encoder's order."""

    channels: Sequence[int]
    widths: Sequence[int]
    activation: Callable[[jax.Array], jax.Array]
    image_shape: tuple[int, int, int]
    bias_init: Initializer
    method: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """Maps codes [N, D] to features [N, H, W, C], with C as in `image_shape`."""
        height, width, features = self.image_shape
        scale = 2 ** len(self.channels)
        small = (height // scale, width // scale, self.channels[-1])
        widths = (*reversed(self.widths), int(np.prod(small)))
        x = MLP(widths, self.activation, self.dtype, name="mlp")(z)
        x = x.reshape(len(z), *small)
        for i, channels in enumerate(reversed(self.channels[:-1])):
            layer = DoublingConv(
                channels, self.method, dtype=self.dtype, name=f"conv_{i}"
            )
            x = self.activation(layer(x))
        output = DoublingConv(
            features, self.method, self.bias_init, self.dtype, name="output"
        )
        return output(x)

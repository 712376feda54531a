"""Encoders: images to features, from which a posterior is read."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae.layers import MLP, HalvingConv


class MLPEncoder(nn.Module):
    """Dense layers on the flattened image."""

    widths: Sequence[int]
    activation: Callable[[jax.Array], jax.Array]
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images [B, H, W, C] to features [B, widths[-1]]."""
        flat = x.reshape(len(x), -1).astype(self.dtype)
        return MLP(self.widths, self.activation, self.dtype, name="mlp")(flat)


class ConvEncoder(nn.Module):
    """4x4 convolutions of stride 2, one for each of `channels`, then dense layers."""

    channels: Sequence[int]
    widths: Sequence[int]
    activation: Callable[[jax.Array], jax.Array]
    method: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images [B, H, W, C] to features [B, widths[-1]]."""
        for i, channels in enumerate(self.channels):
            x = HalvingConv(channels, self.method, self.dtype, name=f"conv_{i}")(x)
            x = self.activation(x)
        flat = x.reshape(len(x), -1)
        return MLP(self.widths, self.activation, self.dtype, name="mlp")(flat)

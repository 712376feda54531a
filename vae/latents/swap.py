"""One image's content in another's style."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from vae.types import Array


def swap(codes_a: Array, codes_b: Array, dimensions: Array) -> jax.Array:
    """Returns codes [N, M, D] that have the chosen `dimensions` (bool [D]) of codes_a
    [N, D] and the others of codes_b [M, D]."""
    return jnp.where(dimensions, codes_a[:, None], codes_b[None])


def style_transfer(
    decode: Callable[..., jax.Array], z: Array, num_labels: int
) -> jax.Array:
    """Returns the images [N, num_labels, H, W, C] of all labels in the styles
    z [N, D], by the decoder of a conditional model: `decode(z [B, D], label=[B])`
    returns mean images [B, H, W, C].

    References:
      Kingma et al. 2014, arXiv 1406.5298, fig. 1 (b, c).
    """
    labels = jnp.tile(jnp.arange(num_labels), len(z))
    images = decode(jnp.repeat(z, num_labels, axis=0), label=labels)
    return images.reshape(len(z), num_labels, *images.shape[1:])

"""Parameters of a model inside those of a wider one.

A model whose latent space is padded takes the size in use as a variable, so that one
compiled program serves all sizes up to its width. Its parameters are those of the
model of that size, filled up with zeros, which training leaves as they are.
"""

from typing import Any

import jax
import jax.numpy as jnp

from vae.types import Params

MULTIPLE = 16


def padded_width(latent_dim: int) -> int:
    """Returns the width at which a latent space of `latent_dim` is computed."""
    return -(-latent_dim // MULTIPLE) * MULTIPLE


def pad_to(tree: Params, shapes: Any) -> Params:
    """Fills every array up with zeros, at the end of its axes, to those of `shapes`."""

    def pad(array: jax.Array, target: Any) -> jax.Array:
        if array.shape == target.shape:
            return array
        missing = zip(target.shape, array.shape, strict=True)
        return jnp.pad(array, [(0, wide - own) for wide, own in missing])

    return jax.tree.map(pad, tree, shapes)


def cut_to(tree: Params, shapes: Any) -> Params:
    """The inverse of `pad_to`."""

    def cut(array: jax.Array, target: Any) -> jax.Array:
        return array[tuple(slice(size) for size in target.shape)]

    return jax.tree.map(cut, tree, shapes)


def variables_of(params: Params, hparams: dict[str, jax.Array]) -> Params:
    """Returns what a model's `apply` takes: its parameters, and the size in use of its
    latent space if that is padded (then `hparams` holds it)."""
    if "latent_dim" not in hparams:
        return {"params": params}
    return {"params": params, "sizes": {"latent_dim": hparams["latent_dim"]}}

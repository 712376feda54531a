"""Randomness as a function: nothing random is ever stored.

Every random number is a function of (seed, stream name, step, position of the example
in the global batch, sample). Keys are derived by `fold_in`, so that a resumed run, a
run on more devices and a member of a sweep draw what the plain run draws.
"""

import zlib

import jax
import jax.numpy as jnp
import numpy as np


def stream(seed: jax.Array | int, name: str) -> jax.Array:
    """Returns the key of the stream called `name`; `seed` may be traced."""
    return named(jax.random.key(seed), name)


def named(key: jax.Array, name: str) -> jax.Array:
    """Returns the part of a step's randomness that is called `name`."""
    return jax.random.fold_in(key, np.uint32(zlib.crc32(name.encode())))


def at_step(seed: jax.Array | int, name: str, step: jax.Array | int) -> jax.Array:
    """Returns the key of stream `name` at `step`."""
    return jax.random.fold_in(stream(seed, name), step)


def per_example(key: jax.Array, positions: jax.Array) -> jax.Array:
    """Returns one key per example, keys [B], from positions [B]."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, positions)


def per_sample(keys: jax.Array, sample_ids: jax.Array) -> jax.Array:
    """Returns one key per sample and example, keys [K, B], from keys [B] and ids [K].

    Sample k of an example is the same whether 5 or 5,000 are drawn, and however the
    5,000 are cut into pieces.
    """
    fold = jax.vmap(jax.random.fold_in, (0, None))
    return jax.vmap(fold, (None, 0))(keys, sample_ids)


def normal(keys: jax.Array, dim: int, dtype: jnp.dtype) -> jax.Array:
    """Returns standard normal noise [K, B, dim] from keys [K, B].

    The noise of a smaller `dim` is a prefix of that of a larger one (partitionable
    threefry), so padding a latent space does not change the draws in it.
    """
    return jax.vmap(jax.vmap(lambda key: jax.random.normal(key, (dim,), dtype)))(keys)


def fold(keys: jax.Array, number: jax.Array | int) -> jax.Array:
    """Returns the keys [K, B] of step `number` of K chains, from keys [K, B]."""
    return jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, number)))(keys)


def each_named(keys: jax.Array, name: str) -> jax.Array:
    """Returns `named` of each of keys [B]."""
    return jax.vmap(lambda key: named(key, name))(keys)


def chains(keys: jax.Array, name: str, num_chains: int) -> jax.Array:
    """Returns keys [K, B] of the K chains of stream `name`, from keys [B]."""
    return per_sample(each_named(keys, name), jnp.arange(num_chains))

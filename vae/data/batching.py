"""Which example stands where in which batch: a pure function of (seed, step).

Both data paths take their batches from here, so they train on the same examples: the
resident path gathers inside the compiled program, the streaming path (`streaming.py`)
on the host.
"""

import jax
import jax.numpy as jnp

from vae import rng
from vae.types import Array


def epoch_order(
    seed: jax.Array | int,
    epoch: jax.Array | int,
    size: int,
    kept: Array | None = None,
) -> jax.Array:
    """Returns the order [size] in which epoch number `epoch` visits the examples.

    One sort of random words: equal words, about size^2 / 2^33 pairs, keep their order,
    which `jax.random.permutation` spends a second sort to avoid. Examples that are not
    `kept` (bool [size]; None keeps all) stand after all others.
    """
    words = jax.random.bits(rng.at_step(seed, "order", epoch), (size,))
    if kept is not None:
        words = jnp.where(kept, words >> 1, ~jnp.zeros_like(words))
    return jnp.argsort(words)


def batch_indices(
    order: jax.Array, batch_in_epoch: jax.Array, positions: jax.Array, batch_size: int
) -> jax.Array:
    """Returns the examples [B] at `positions` [B] of a batch; an epoch's last
    `size % batch_size` examples are left to other epochs' orders."""
    return jnp.take(order, batch_in_epoch * batch_size + positions)

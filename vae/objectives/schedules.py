"""Annealing: factors in [0, 1] by which a weight or a capacity grows in training.

A schedule maps the step and the annealing's number of steps, either of which may be
traced, to the factor.
"""

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp

from vae.fields import Field


def constant(step: jax.Array, duration: jax.Array) -> jax.Array:
    """1 from the start."""
    del step
    return jnp.ones_like(duration)


def linear(step: jax.Array, duration: jax.Array) -> jax.Array:
    """From 0 to 1 in `duration` steps.

    References:
      Sonderby et al. 2016, arXiv 1602.02282, sec. 2.3.
    """
    return jnp.clip(step / duration, 0, 1)


def sigmoid(step: jax.Array, duration: jax.Array) -> jax.Array:
    """A logistic curve from .007 at 0 through 1/2 to .993 at `duration`.

    References:
      Bowman et al. 2016, arXiv 1511.06349, sec. 3.1 and fig. 2.
    """
    return jax.nn.sigmoid(10 * (step / duration - 0.5))


def cyclical(step: jax.Array, duration: jax.Array) -> jax.Array:
    """Cycles of `duration` steps: from 0 to 1 in the first half, then 1.

    References:
      Fu et al. 2019, arXiv 1903.10145, eq. 6 and 7 with R = 1/2.
    """
    return jnp.minimum(2 * (step % duration) / duration, 1)


ANNEALINGS = {
    "constant": constant,
    "linear": linear,
    "sigmoid": sigmoid,
    "cyclical": cyclical,
}
Annealing = Annotated[Callable[..., jax.Array], Field(menu=ANNEALINGS)]
# Steps that the annealing, or one cycle of it, takes.
AnnealingSteps = Annotated[
    float, Field(traced=True, above=0.0, unless=("annealing", "constant"))
]

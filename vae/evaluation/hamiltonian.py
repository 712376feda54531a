"""Hamiltonian Monte Carlo for codes of images, between the prior and the posterior.

References:
  Neal 2011, MCMC using Hamiltonian dynamics, arXiv 1206.1901.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vae import rng

LEAPFROG_STEPS = 10  # of a transition, as in Wu et al. 2017, arXiv 1611.04273


class Joint(NamedTuple):
    """p(x, z) of given images x, as functions of codes z [K, B, D]."""

    log_prior: Callable[[jax.Array], jax.Array]  # log p(z), [K, B]
    log_likelihood: Callable[[jax.Array], jax.Array]  # log p(x | z), [K, B]


class Point(NamedTuple):
    """Where chains are, and all that is known of the targets there.

    The two factors are kept apart: together they give every target, and its gradient,
    without another look at the decoder.
    """

    z: jax.Array  # [K, B, D]
    log_prior: jax.Array  # [K, B]
    log_likelihood: jax.Array  # [K, B]
    prior_slope: jax.Array  # [K, B, D], the gradient of log_prior by z
    likelihood_slope: jax.Array  # [K, B, D]

    def log_target(self, temperature: jax.Array) -> jax.Array:
        """Returns log p(z) + t log p(x | z), [K, B]."""
        return self.log_prior + temperature * self.log_likelihood

    def slope(self, temperature: jax.Array) -> jax.Array:
        """Returns the gradient of `log_target` by z, [K, B, D]."""
        return self.prior_slope + temperature * self.likelihood_slope


def move(
    joint: Joint,
    point: Point,
    temperature: jax.Array,
    step_size: jax.Array,
    keys: jax.Array,
) -> tuple[Point, jax.Array]:
    """Moves chains by Hamiltonian Monte Carlo, which leaves p(z) p(x | z)^t as it is.

    Args:
      joint: of the images.
      point: where the chains are.
      temperature: t, [].
      step_size: of each image, [B].
      keys: [K, B].

    Returns:
      Where the chains are then, and the probability [K, B] with which they moved.
    """
    noise_keys, choice_keys = fold(keys, 0), fold(keys, 1)
    momentum = rng.normal(noise_keys, point.z.shape[-1], point.z.dtype)
    proposal, last_momentum = _leapfrog(joint, point, momentum, temperature, step_size)
    log_ratio = proposal.log_target(temperature) - point.log_target(temperature)
    log_ratio += ((momentum**2).sum(-1) - (last_momentum**2).sum(-1)) / 2
    # A trajectory that overflows ends where the target has no density.
    log_ratio = jnp.where(jnp.isnan(log_ratio), -jnp.inf, log_ratio)
    acceptance = jnp.exp(jnp.minimum(log_ratio, 0))
    choice = jax.vmap(jax.vmap(lambda k: jax.random.uniform(k, (), acceptance.dtype)))
    moves = choice(choice_keys) < acceptance

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(moves if new.ndim == 2 else moves[..., None], new, old)

    return jax.tree.map(choose, proposal, point), acceptance


def look(joint: Joint, z: jax.Array) -> Point:
    """Evaluates both factors at codes z [K, B, D], by one gradient of each."""
    log_prior, prior_pull = jax.vjp(joint.log_prior, z)
    log_likelihood, likelihood_pull = jax.vjp(joint.log_likelihood, z)
    (prior_slope,) = prior_pull(jnp.ones_like(log_prior))
    (likelihood_slope,) = likelihood_pull(jnp.ones_like(log_likelihood))
    return Point(z, log_prior, log_likelihood, prior_slope, likelihood_slope)


def _leapfrog(
    joint: Joint,
    point: Point,
    momentum: jax.Array,
    temperature: jax.Array,
    step_size: jax.Array,
) -> tuple[Point, jax.Array]:
    step = step_size[:, None]  # [B, 1]

    def leap(_: int, state: tuple[Point, jax.Array]) -> tuple[Point, jax.Array]:
        point, momentum = state
        momentum += step / 2 * point.slope(temperature)
        point = look(joint, point.z + step * momentum)
        return point, momentum + step / 2 * point.slope(temperature)

    return jax.lax.fori_loop(0, LEAPFROG_STEPS, leap, (point, momentum))


def fold(keys: jax.Array, number: jax.Array | int) -> jax.Array:
    """Returns the keys [K, B] that belong to keys [K, B] and a number."""
    return jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, number)))(keys)

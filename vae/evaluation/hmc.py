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


class HMCState(NamedTuple):
    """Positions of the chains, and the targets there.

    The two factors are kept apart: together they give every target, and its gradient,
    without another pass through the decoder.
    """

    z: jax.Array  # [K, B, D]
    log_prior: jax.Array  # [K, B]
    log_likelihood: jax.Array  # [K, B]
    prior_grad: jax.Array  # [K, B, D], the gradient of log_prior by z
    likelihood_grad: jax.Array  # [K, B, D]

    def log_target(self, temperature: jax.Array) -> jax.Array:
        """Returns log p(z) + t log p(x | z), [K, B]."""
        return self.log_prior + temperature * self.log_likelihood

    def grad(self, temperature: jax.Array) -> jax.Array:
        """Returns the gradient of `log_target` by z, [K, B, D]."""
        return self.prior_grad + temperature * self.likelihood_grad


def step(
    joint: Joint,
    state: HMCState,
    temperature: jax.Array,
    step_size: jax.Array,
    keys: jax.Array,
) -> tuple[HMCState, jax.Array]:
    """Moves chains by Hamiltonian Monte Carlo, which leaves p(z) p(x | z)^t invariant.

    Args:
      joint: of the images.
      state: of the chains.
      temperature: t, [].
      step_size: of each image, [B].
      keys: [K, B].

    Returns:
      The new state, and the acceptance probability [K, B].
    """
    noise_keys, choice_keys = rng.fold(keys, 0), rng.fold(keys, 1)
    momentum = rng.normal(noise_keys, state.z.shape[-1], state.z.dtype)
    proposal, last_momentum = _leapfrog(joint, state, momentum, temperature, step_size)
    log_ratio = proposal.log_target(temperature) - state.log_target(temperature)
    log_ratio += ((momentum**2).sum(-1) - (last_momentum**2).sum(-1)) / 2
    # A trajectory that overflows ends where the target has no density.
    log_ratio = jnp.where(jnp.isnan(log_ratio), -jnp.inf, log_ratio)
    acceptance = jnp.exp(jnp.minimum(log_ratio, 0))
    choice = jax.vmap(jax.vmap(lambda k: jax.random.uniform(k, (), acceptance.dtype)))
    moves = choice(choice_keys) < acceptance

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(moves if new.ndim == 2 else moves[..., None], new, old)

    return jax.tree.map(choose, proposal, state), acceptance


def init(joint: Joint, z: jax.Array) -> HMCState:
    """Evaluates both factors at codes z [K, B, D], by one gradient of each."""
    log_prior, prior_pull = jax.vjp(joint.log_prior, z)
    log_likelihood, likelihood_pull = jax.vjp(joint.log_likelihood, z)
    (prior_grad,) = prior_pull(jnp.ones_like(log_prior))
    (likelihood_grad,) = likelihood_pull(jnp.ones_like(log_likelihood))
    return HMCState(z, log_prior, log_likelihood, prior_grad, likelihood_grad)


def _leapfrog(
    joint: Joint,
    state: HMCState,
    momentum: jax.Array,
    temperature: jax.Array,
    step_size: jax.Array,
) -> tuple[HMCState, jax.Array]:
    size = step_size[:, None]  # [B, 1]

    def leap(_: int, carry: tuple[HMCState, jax.Array]) -> tuple[HMCState, jax.Array]:
        state, momentum = carry
        momentum += size / 2 * state.grad(temperature)
        state = init(joint, state.z + size * momentum)
        return state, momentum + size / 2 * state.grad(temperature)

    return jax.lax.fori_loop(0, LEAPFROG_STEPS, leap, (state, momentum))

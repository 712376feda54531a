"""Annealed bounds on log p(x), per image and in nats: from below for any image, and
from above for images that were simulated from the model.

Chains of codes move from the prior to the posterior, or back, through the targets
p(z) p(x | z)^t of temperatures t between 0 and 1. They need no approximate posterior.

References:
  Neal 2001, Annealed importance sampling, arXiv physics/9803008.
  Wu et al. 2017, arXiv 1611.04273 (of decoders; the schedule).
  Grosse et al. 2015, arXiv 1511.02543 (from both sides).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae import rng
from vae.evaluation import hmc
from vae.evaluation.hmc import HMCState, Joint
from vae.models.base import REALS, Model
from vae.types import Array, Params, Unsupported

ACCEPTANCE = 0.65  # Beskos et al. 2010, arXiv 1001.4460: the best in many dimensions
FIRST_STEP_SIZE = 0.3  # near the prior, from which tuning starts
TUNING_RATE = 0.3  # of log step size, by the acceptance that is missing
TUNING_CHAINS = 4  # of an image: their mean acceptance is all that tuning needs
SCHEDULE_RADIUS = 4.0  # of Wu et al.'s sigmoid


class AnnealedBound(NamedTuple):
    """What the chains of each image say."""

    log_likelihood: Array  # [B], a bound on log p(x): lower or upper, in the mean
    effective_sample_size: Array  # [B], of the chains' weights, in 1..K
    acceptance: Array  # [B], mean over chains and temperatures; nan without transitions


class AnnealedBounds(NamedTuple):
    """Pure functions of a batch: x [B, H, W, C], labels [B] or None, keys [B]. What is
    drawn for an image depends on its key only."""

    # (variables, labels, keys) -> x, z [B, D] of the model: z is a sample of p(z | x)
    simulate: Callable[..., tuple[jax.Array, jax.Array]]
    # (variables, x, labels, keys) -> step sizes [T - 1, B] for `lower` and `upper`
    tune: Callable[..., jax.Array]
    # (variables, x, labels, keys, step_sizes) -> a lower bound
    lower: Callable[..., AnnealedBound]
    # (variables, x, labels, keys, step_sizes, z [B, D] of p(z | x)) -> an upper bound
    upper: Callable[..., AnnealedBound]


def sigmoid_schedule(num_steps: int) -> np.ndarray:
    """Returns temperatures [T + 1] from 0 to 1, T = `num_steps`, dense at both ends:
    the sigmoid schedule of Wu et al."""
    sigmoid = 1 / (1 + np.exp(-np.linspace(-1, 1, num_steps + 1) * SCHEDULE_RADIUS))
    return (sigmoid - sigmoid[0]) / (sigmoid[-1] - sigmoid[0])


def make_annealed_bounds(
    model: Model, temperatures: np.ndarray, *, num_chains: int
) -> AnnealedBounds:
    """Returns bounds on log p(x) by K = `num_chains` chains through temperatures
    [T + 1], as of `sigmoid_schedule`.

    Forward chains start at samples of the prior. With z_i their codes after the
    transition at t_i, the weight of a chain is the product of
    p(x | z_i)^(t_{i+1} - t_i), and its mean is p(x): the logarithm of the mean of K
    weights is below log p(x) in expectation. Reverse chains start at an exact sample
    of p(z | x); their weights have the mean 1 / p(x), and minus the logarithm of the
    mean of K is above log p(x). Both need transitions that leave each target as it is.
    A step size adapted to the chain that it moves would break that: `tune` adapts the
    step sizes, of each image and temperature, in a forward run on noise of its own.

    With T = 1, `lower` is importance sampling from the prior. Only the step sizes need
    memory that grows with T. The model has one latent group, not padded.

    Raises:
      Unsupported: the codes are not in the reals.
      ValueError: the temperatures do not rise from 0 to 1.
    """
    if model.space != REALS:
        raise Unsupported("moves codes in the reals, not discrete or on the sphere")
    if (temperatures[0], temperatures[-1]) != (0, 1) or (
        np.diff(temperatures) <= 0
    ).any():
        raise ValueError("temperatures must rise from 0 to 1")

    def simulate(variables: Params, labels: jax.Array | None, keys: jax.Array):
        def draw(key: jax.Array, label: jax.Array | None):
            prior = model.apply(variables, label, method="prior_of")
            z = prior.sample(rng.named(key, "z"))[None]
            label = None if label is None else label[None]
            p = model.apply(variables, z, label=label, method="decode")
            x = p.sample(rng.named(key, "x"))[0]
            return x.astype(z.dtype), z[0]

        return jax.vmap(draw)(rng.each_named(keys, "simulate"), labels)

    def tune(variables: Params, x: jax.Array, labels: jax.Array | None, keys):
        chain_keys = rng.chains(keys, "tune", TUNING_CHAINS)
        start = draw_prior(model, variables, labels, rng.fold(chain_keys, 0))
        joint = _joint(model, variables, x, labels)
        return _tune(joint, start, chain_keys, temperatures)

    def lower(variables: Params, x: jax.Array, labels, keys, step_sizes: jax.Array):
        chain_keys = rng.chains(keys, "lower", num_chains)
        start = draw_prior(model, variables, labels, rng.fold(chain_keys, 0))
        joint = _joint(model, variables, x, labels)
        return _anneal(joint, start, chain_keys, temperatures, step_sizes)

    def upper(variables: Params, x: jax.Array, labels, keys, step_sizes, z: jax.Array):
        chain_keys = rng.chains(keys, "upper", num_chains)
        start = jnp.broadcast_to(z, (num_chains, *z.shape))
        joint = _joint(model, variables, x, labels)
        bound = _anneal(joint, start, chain_keys, temperatures[::-1], step_sizes[::-1])
        return bound._replace(log_likelihood=-bound.log_likelihood)

    return AnnealedBounds(simulate, tune, lower, upper)


def draw_prior(
    model: Model, variables: Params, labels: jax.Array | None, keys: jax.Array
) -> jax.Array:
    """Draws codes [K, B, D] from p(z), for labels [B] or None, with keys [K, B]."""

    def draw(key: jax.Array, label: jax.Array | None) -> jax.Array:
        return model.apply(variables, label, method="prior_of").sample(key)

    return jax.vmap(jax.vmap(draw), (0, None))(keys, labels)


def _anneal(
    joint: Joint,
    start: jax.Array,
    keys: jax.Array,
    temperatures: np.ndarray,
    step_sizes: jax.Array,
) -> AnnealedBound:
    """Runs chains from codes [K, B, D] through temperatures [T + 1], rising or falling,
    by step sizes [T - 1, B]; log_likelihood is log-mean-exp of the weights."""

    def anneal(state: tuple[HMCState, jax.Array], step: tuple[jax.Array, ...]):
        (chains, log_weights), (number, rise, temperature, step_size) = state, step
        log_weights += rise * chains.log_likelihood
        step_keys = rng.fold(keys, number)
        chains, acceptance = hmc.step(joint, chains, temperature, step_size, step_keys)
        return (chains, log_weights), acceptance.mean(0)

    chains = hmc.init(joint, start)
    rises, between = _rises(temperatures, start.dtype)
    steps = (jnp.arange(1, len(rises)), rises[:-1], between, step_sizes)
    first = (chains, jnp.zeros_like(chains.log_likelihood))
    (chains, log_weights), acceptance = jax.lax.scan(anneal, first, steps)
    log_weights += rises[-1] * chains.log_likelihood
    log_sum = jax.nn.logsumexp(log_weights, axis=0)
    log_sum_squares = jax.nn.logsumexp(2 * log_weights, axis=0)
    return AnnealedBound(
        log_likelihood=log_sum - jnp.log(len(log_weights)),
        effective_sample_size=jnp.exp(2 * log_sum - log_sum_squares),
        acceptance=acceptance.mean(0),
    )


def _tune(
    joint: Joint, start: jax.Array, keys: jax.Array, temperatures: np.ndarray
) -> jax.Array:
    """Returns step sizes [T - 1, B] at which chains from codes [K, B, D] move with
    probability `ACCEPTANCE`."""

    def adapt(state: tuple[HMCState, jax.Array], step: tuple[jax.Array, jax.Array]):
        (chains, step_size), (number, temperature) = state, step
        step_keys = rng.fold(keys, number)
        chains, acceptance = hmc.step(joint, chains, temperature, step_size, step_keys)
        missing = ACCEPTANCE - acceptance.mean(0)
        step_size *= jnp.exp(-TUNING_RATE * missing)
        return (chains, step_size), step_size

    rises, between = _rises(temperatures, start.dtype)
    first = (
        hmc.init(joint, start),
        jnp.full(start.shape[1], FIRST_STEP_SIZE, start.dtype),
    )
    _, step_sizes = jax.lax.scan(adapt, first, (jnp.arange(1, len(rises)), between))
    return step_sizes


def _rises(temperatures: np.ndarray, dtype: jnp.dtype) -> tuple[jax.Array, jax.Array]:
    """Returns the differences [T] of temperatures [T + 1], and those between [T - 1]
    the ends."""
    return (
        jnp.asarray(np.diff(temperatures), dtype),
        jnp.asarray(temperatures[1:-1], dtype),
    )


def _joint(
    model: Model, variables: Params, x: jax.Array, labels: jax.Array | None
) -> Joint:
    def log_likelihood(z: jax.Array) -> jax.Array:
        p = model.apply(variables, z, label=labels, method="decode")
        return p.log_prob(x)

    prior = model.apply(variables, labels, method="prior_of")
    return Joint(prior.log_prob, log_likelihood)

"""The evidence lower bound, and penalties that weigh its rate differently."""

import jax
import jax.numpy as jnp

from vae.distributions.ancestral import GivenCodes
from vae.fields import Weight
from vae.objectives import schedules
from vae.objectives.base import Moment, kl_per_dimension
from vae.objectives.schedules import Annealing, AnnealingSteps
from vae.types import ElboTerms, Inference, Metrics, Unsupported


def elbo(
    inference: Inference, terms: ElboTerms, moment: Moment
) -> tuple[jax.Array, Metrics]:
    """The rate: the loss is minus the evidence lower bound.

    References:
      Kingma & Welling 2013, arXiv 1312.6114, eq. 3.
    """
    del inference, moment
    return terms.rate.mean(), {}


def beta_vae(
    inference: Inference,
    terms: ElboTerms,
    moment: Moment,
    *,
    beta: Weight = 1.0,
    annealing: Annealing = schedules.constant,
    annealing_steps: AnnealingSteps = 10_000.0,
) -> tuple[jax.Array, Metrics]:
    """beta * rate: beta multiplies the KL in nats.

    References:
      Higgins et al. 2017, beta-VAE, eq. 4.
    """
    del inference
    return beta * annealing(moment.step, annealing_steps) * terms.rate.mean(), {}


def capacity(
    inference: Inference,
    terms: ElboTerms,
    moment: Moment,
    *,
    gamma: Weight = 1_000.0,
    capacity: Weight = 25.0,
    annealing: Annealing = schedules.constant,
    annealing_steps: AnnealingSteps = 10_000.0,
) -> tuple[jax.Array, Metrics]:
    """gamma * |rate - C|: annealing raises C from 0 to `capacity`, in nats.

    References:
      Burgess et al. 2018, arXiv 1804.03599, eq. 8.
    """
    del inference
    target = capacity * annealing(moment.step, annealing_steps)
    return gamma * jnp.abs(terms.rate.mean() - target), {"capacity_nats": target}


def free_bits_per_group(
    inference: Inference,
    terms: ElboTerms,
    moment: Moment,
    *,
    beta: Weight = 1.0,
    free_nats: Weight = 0.1,
    annealing: Annealing = schedules.constant,
    annealing_steps: AnnealingSteps = 10_000.0,
) -> tuple[jax.Array, Metrics]:
    """beta * sum over groups of max(rate of the group, free_nats).

    The rate is the mean over the minibatch: a group that holds the free nats on average
    may spend them on some examples and not on others.

    References:
      Kingma et al. 2016, arXiv 1606.04934, eq. 15.

    Raises:
      Unsupported: the rate of a group is no divergence, and may be negative.
    """
    if any(isinstance(group.prior, GivenCodes) for group in inference.groups):
        raise Unsupported("needs rates of groups that are KL divergences")
    floored = jnp.maximum(terms.rate_per_group.mean((1, 2)), free_nats).sum()
    return beta * annealing(moment.step, annealing_steps) * floored, {}


def free_bits_per_dimension(
    inference: Inference,
    terms: ElboTerms,
    moment: Moment,
    *,
    beta: Weight = 1.0,
    free_nats: Weight = 0.1,
    annealing: Annealing = schedules.constant,
    annealing_steps: AnnealingSteps = 10_000.0,
) -> tuple[jax.Array, Metrics]:
    """As `free_bits_per_group`, for every latent dimension by itself.

    Raises:
      Unsupported: the rate is not a sum over dimensions.
    """
    del terms
    floored = jnp.zeros(())
    for group in inference.groups:
        rate = kl_per_dimension(group)
        if rate is None:
            raise Unsupported("needs a KL per dimension")
        mean = rate.mean(tuple(range(rate.ndim - 1)))
        floored += (jnp.maximum(mean, free_nats) * group.used).sum()
    return beta * annealing(moment.step, annealing_steps) * floored, {}

"""What annealing finds of images, by functions compiled when they are first called."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae import rng
from vae.build import Experiment
from vae.data.splits import Split
from vae.evaluation.ais import (
    AnnealedBound,
    AnnealedBounds,
    make_annealed_bounds,
    sigmoid_schedule,
)
from vae.evaluation.bounds import make_importance_bound
from vae.evaluation.evaluate import look_at
from vae.evaluation.gaps import InferenceGaps, make_inference_gaps
from vae.models.base import Model
from vae.types import Array, Params

CHAINS = 16  # of each image: Wu et al. 2017, arXiv 1611.04273
# Of the posterior that is optimised for each image by itself. Three times the steps, or
# four times the samples, change the gaps of the quickstart by .002 nats.
OPTIMISATION = {
    "num_steps": 1_000,
    "num_samples": 8,
    "learning_rate": 0.02,
    "evaluation_samples": 1_000,
}


class Observed(NamedTuple):
    """What is found of test images."""

    annealed: AnnealedBound  # from below
    importance: Array  # [B], L_K
    gaps: InferenceGaps | None  # None where the posterior is no diagonal Gaussian


class Simulated(NamedTuple):
    """What is found of images that were simulated from the model."""

    lower: AnnealedBound
    upper: AnnealedBound
    importance: Array  # [B], L_K


class Annealing(NamedTuple):
    """Each takes the variables of a model that is not padded, the seed, stored test
    images [B] and their places [B] in the split.

    What is drawn for an image depends on the seed and its place only.
    """

    observe: Callable[..., Observed]
    # An image is simulated in the place of each test image, with its label.
    simulate: Callable[..., Simulated]


def make_annealing(experiment: Experiment, latent_dim: int) -> Annealing:
    """Prepares what is compiled, for the model of a latent dimension."""
    model, _ = experiment.make_own(latent_dim)
    return Annealing(
        observe=jax.jit(_make_observe(experiment, model)),
        simulate=jax.jit(_make_simulate(experiment, model)),
    )


def _make_observe(experiment: Experiment, model: Model) -> Callable[..., Observed]:
    bounds = _annealed_bounds(experiment, model)
    importance_bound = make_importance_bound(model, experiment.importance_samples)
    inference_gaps: Any = None
    if experiment.config["model"]["posterior"]["name"] == "diagonal_gaussian":
        inference_gaps = make_inference_gaps(model, **OPTIMISATION)

    def observe(
        variables: Params, seed: jax.Array, stored: Split, places: jax.Array
    ) -> Observed:
        x, keys = look_at(experiment.preprocess, seed, stored, places, name="test")
        given = variables, x, stored.labels
        importance = importance_bound(*given, keys).log_likelihood
        keys = _keys(seed, "annealed", places)
        annealed = bounds.lower(*given, keys, bounds.tune(*given, keys))
        gaps = None
        if inference_gaps is not None:
            best = jnp.maximum(annealed.log_likelihood, importance)
            gaps = inference_gaps(*given, _keys(seed, "gaps", places), best)
        return Observed(annealed, importance, gaps)

    return observe


def _make_simulate(experiment: Experiment, model: Model) -> Callable[..., Simulated]:
    bounds = _annealed_bounds(experiment, model)
    importance_bound = make_importance_bound(model, experiment.importance_samples)

    def simulate(
        variables: Params, seed: jax.Array, stored: Split, places: jax.Array
    ) -> Simulated:
        keys = _keys(seed, "simulated", places)
        x, z = bounds.simulate(variables, stored.labels, keys)
        given = variables, x, stored.labels
        step_sizes = bounds.tune(*given, keys)
        latent_keys = _keys(seed, "simulated_latent", places)
        return Simulated(
            lower=bounds.lower(*given, keys, step_sizes),
            upper=bounds.upper(*given, keys, step_sizes, z),
            importance=importance_bound(*given, latent_keys).log_likelihood,
        )

    return simulate


def _annealed_bounds(experiment: Experiment, model: Model) -> AnnealedBounds:
    temperatures = sigmoid_schedule(experiment.annealed_steps)
    return make_annealed_bounds(model, temperatures, num_chains=CHAINS)


def _keys(seed: jax.Array, name: str, places: jax.Array) -> jax.Array:
    """Returns keys [B] of a stream of images at places [B]."""
    return rng.per_example(rng.stream(seed, f"truth_{name}"), places)

"""How far bounds are from log p(x), in nats: the evaluation `ais`.

Annealing needs no approximate posterior, so that it can judge one. On images simulated
from the model it bounds log p(x) from both sides. The width between them says how far
the bound from below may be from log p(x) of test images.

References:
  Wu et al. 2017, arXiv 1611.04273 (both bounds of decoders).
  Cremer et al. 2018, arXiv 1801.03558 (where the ELBO loses).
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from vae import rng
from vae.data.splits import Split, evenly_spaced
from vae.evaluation.ais import (
    AnnealedBound,
    AnnealedBounds,
    make_annealed_bounds,
    sigmoid_schedule,
)
from vae.evaluation.base import (
    Preprocess,
    Subject,
    Trained,
    look_at,
    map_batches,
    mean_and_error,
)
from vae.evaluation.bounds import make_importance_bound
from vae.evaluation.gaps import InferenceGaps, make_inference_gaps
from vae.fields import Field, Natural
from vae.models.base import REALS, Model
from vae.models.posteriors import DiagonalGaussian
from vae.types import Array, Params

BATCH = 20  # images annealed at once, which changes no result
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
    gaps: InferenceGaps | None  # None unless the posterior is a diagonal Gaussian


class Simulated(NamedTuple):
    """What is found of images that were simulated from the model."""

    lower: AnnealedBound
    upper: AnnealedBound
    importance: Array  # [B], L_K


def applies(subject: Subject, *, images: int, steps: int) -> str | None:
    size = subject.dataset.test.size
    if subject.model.space != REALS:
        return "moves codes by gradients, but these are discrete or on the sphere"
    if images > size:
        return f"asks for {images} images, more than the {size} test images"
    return "needs 2 steps or more" if steps < 2 else None


def run(
    trained: Trained,
    *,
    images: Natural = 0,
    steps: Annotated[int, Field(at_least=2, unless=("images", 0))] = 1_000,
) -> dict[str, Any]:
    """Bounds log p(x) of test images evenly spaced, and of as many simulated ones.

    Returns:
      `ais/images`, `ais/steps`, and means over images in nats, each with its `_stderr`
      (of two images or more). Of test images, as the bounds see them: `ais/nll_nats`,
      annealed, with `/ess`, the mean effective sample size (of `CHAINS`), and the
      `/acceptance` of moves; `/nll_is{K}_nats`; `/is{K}_gap_nats`, how far the
      annealed bound is above L_K; and if the posterior is a diagonal Gaussian
      `/approximation_gap_nats` and `/amortisation_gap_nats`, which add up to what the
      ELBO lacks of the larger of both bounds. Of simulated images, all of log p(x):
      `/simulated_lower_nats`, `/simulated_upper_nats`, `/simulated_gap_nats` between
      these, and `/simulated_is{K}_nats`.
    """
    test, num_samples = trained.subject.dataset.test, trained.importance_samples
    places = evenly_spaced(test.size, images)
    given = trained.own_variables, trained.seed

    def find(make: Callable[..., Any]) -> Any:
        compute = trained.compiled_own(make, steps, num_samples)
        found = map_batches(
            lambda places: compute(*given, test[places], places),
            places,
            min(BATCH, images),
            trained.on_batch,
        )
        return jax.tree.map(lambda array: array.astype(float), found)

    annealed, importance, gaps = find(make_observe)
    simulated = find(make_simulate)
    lower, upper = simulated.lower.log_likelihood, simulated.upper.log_likelihood
    means = {
        "nll": -annealed.log_likelihood,
        f"nll_is{num_samples}": -importance,
        f"is{num_samples}_gap": annealed.log_likelihood - importance,
        "simulated_lower": lower,
        "simulated_upper": upper,
        "simulated_gap": upper - lower,
        f"simulated_is{num_samples}": simulated.importance,
    }
    if gaps is not None:
        means["approximation_gap"] = gaps.approximation_gap
        means["amortisation_gap"] = gaps.amortisation_gap
    results = {
        "ais/images": images,
        "ais/steps": steps,
        "ais/ess": float(annealed.effective_sample_size.mean()),
        "ais/acceptance": float(annealed.acceptance.mean()),
    }
    for name, values in means.items():
        results |= mean_and_error(f"ais/{name}", values)
    return results


def make_observe(
    model: Model, preprocess: Preprocess, steps: int, num_samples: int
) -> Callable[..., Observed]:
    """Returns (variables of a model that is not padded, seed, stored images [B], places
    [B]) -> `Observed`.

    What is drawn for an image depends on the seed and its place only.
    """
    bounds = _annealed_bounds(model, steps)
    importance_bound = make_importance_bound(model, num_samples)
    inference_gaps: Any = None
    is_one_group = len(model.group_sizes) == 1
    if is_one_group and isinstance(model.posterior, DiagonalGaussian):
        inference_gaps = make_inference_gaps(model, **OPTIMISATION)

    def observe(
        variables: Params, seed: jax.Array, stored: Split, places: jax.Array
    ) -> Observed:
        x, keys = look_at(preprocess, seed, stored, places, name="test")
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


def make_simulate(
    model: Model, preprocess: Preprocess, steps: int, num_samples: int
) -> Callable[..., Simulated]:
    """Returns what `make_observe` does, -> `Simulated`: an image is simulated in the
    place of each test image, with its label."""
    del preprocess  # what is simulated is as the model sees it
    bounds = _annealed_bounds(model, steps)
    importance_bound = make_importance_bound(model, num_samples)

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


def _annealed_bounds(model: Model, steps: int) -> AnnealedBounds:
    return make_annealed_bounds(model, sigmoid_schedule(steps), num_chains=CHAINS)


def _keys(seed: jax.Array, name: str, places: jax.Array) -> jax.Array:
    """Returns keys [B] of a stream of images at places [B]."""
    return rng.per_example(rng.stream(seed, f"truth_{name}"), places)

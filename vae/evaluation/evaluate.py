"""Evaluation of a model on every image of a split, exactly once."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vae import rng
from vae.data.splits import Split
from vae.evaluation.bounds import ImageBounds, make_importance_bound
from vae.evaluation.latent import active_units
from vae.models.base import Model
from vae.types import Params

Evaluator = Callable[[Params, Split], dict[str, Any]]


def make_evaluator(
    model: Model,
    preprocess: Callable[[jax.Array, jax.Array], jax.Array],
    *,
    name: str,
    num_samples: int,
    batch_size: int,
    seed: int,
    is_discrete: bool,
    by_example: jax.sharding.NamedSharding,
    replicated: jax.sharding.NamedSharding,
    on_batch: Callable[[int], None] = lambda images: None,
) -> Evaluator:
    """Returns (model parameters, split) -> results of the split called `name`.

    Every image is seen once, with the binarisation and noise of its place in the
    split, whatever the batch size and the number of devices. Keys are
    `{name}/elbo_nats`, `/distortion_nats`, `/rate_nats`, `/nll_is{K}_nats`,
    `/nll_is{K}_stderr` (over images), `/nll_is{K}_ess` (mean over images, of K),
    `/bits_per_dim` (if the likelihood `is_discrete`), `/images`, and
    `latent/active_units`, and `latent/kl_per_dim` (where the rate is a sum over
    dimensions).
    """
    bound = make_importance_bound(model, num_samples)
    devices = by_example.num_devices
    batch_size = -(-batch_size // devices) * devices

    def evaluate_batch(params: Params, stored: Split, positions: jax.Array):
        preprocess_keys = rng.per_example(rng.stream(seed, f"{name}_data"), positions)
        keys = rng.per_example(rng.stream(seed, f"{name}_latent"), positions)
        images = preprocess(stored.images, preprocess_keys)
        return bound(params, images, stored.labels, keys)

    compiled = jax.jit(evaluate_batch, out_shardings=replicated)

    def evaluate(params: Params, split: Split) -> dict[str, Any]:
        parts = []
        for stored, positions, count in split.padded_batches(batch_size):
            arguments = jax.device_put((stored, positions), by_example)
            part = jax.device_get(compiled(params, *arguments))
            parts.append(jax.tree.map(lambda array, n=count: array[:n], part))
            on_batch(count)
        bounds = jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
        results = summarize(bounds, split, name=name, num_samples=num_samples)
        if is_discrete:  # the negative log of a density is no code length
            nats = results[f"{name}/nll_is{num_samples}_nats"]
            pixels = np.prod(split.images.shape[1:])
            results[f"{name}/bits_per_dim"] = float(nats / (pixels * np.log(2)))
        return results

    return evaluate


def summarize(
    bounds: ImageBounds, split: Split, *, name: str, num_samples: int
) -> dict[str, Any]:
    """Averages bounds over the images of a split, in float64; see `make_evaluator`."""
    bounds = jax.tree.map(lambda array: np.asarray(array, np.float64), bounds)
    elbo = -np.add(bounds.distortion, bounds.rate)
    nll = -np.asarray(bounds.log_likelihood)
    nll_name = f"{name}/nll_is{num_samples}"
    results = {
        f"{name}/elbo_nats": float(elbo.mean()),
        f"{name}/elbo_stderr": standard_error(elbo),
        f"{name}/distortion_nats": float(np.mean(bounds.distortion)),
        f"{name}/rate_nats": float(bounds.rate.mean()),
        f"{nll_name}_nats": float(nll.mean()),
        f"{nll_name}_stderr": standard_error(nll),
        f"{nll_name}_ess": float(bounds.effective_sample_size.mean()),
        f"{name}/images": split.size,
    }
    if bounds.mean_error is not None:
        results["latent/active_units"] = active_units(
            bounds.posterior_mean, bounds.mean_error
        )
    if bounds.kl_per_dimension is not None:
        results["latent/kl_per_dim"] = np.mean(bounds.kl_per_dimension, 0).tolist()
    return results


def standard_error(values: np.ndarray) -> float:
    """Returns the standard error of the mean of values [N]; 0 of a single one."""
    return float(values.std(ddof=min(1, len(values) - 1)) / np.sqrt(len(values)))

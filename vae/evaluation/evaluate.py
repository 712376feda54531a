"""Evaluation of a model on every image of a split, exactly once."""

from collections.abc import Callable, Generator
from typing import Any

import jax
import numpy as np

from vae import rng
from vae.data.splits import Split
from vae.evaluation.bounds import ImageBounds, make_importance_bound
from vae.evaluation.latent import active_units, variance_of_means
from vae.models.base import Model
from vae.types import Array, Params, Request

# (variables, seed, stored images, positions [B]) -> bounds
EvaluateBatch = Callable[[Params, jax.Array, Split, jax.Array], ImageBounds]


def make_evaluate_batch(
    model: Model,
    preprocess: Callable[[jax.Array, jax.Array], jax.Array],
    *,
    name: str,
    num_samples: int,
) -> EvaluateBatch:
    """Returns the pure function by which `evaluate` looks at the split called `name`.

    An image has the binarisation and noise of its place in the split, whatever the
    batch size and the number of devices.
    """
    bound = make_importance_bound(model, num_samples)

    def evaluate_batch(
        variables: Params, seed: jax.Array, stored: Split, positions: jax.Array
    ) -> ImageBounds:
        images, keys = look_at(preprocess, seed, stored, positions, name=name)
        return bound(variables, images, stored.labels, keys)

    return evaluate_batch


def look_at(
    preprocess: Callable[[jax.Array, jax.Array], jax.Array],
    seed: jax.Array,
    stored: Split,
    positions: jax.Array,
    *,
    name: str,
) -> tuple[jax.Array, jax.Array]:
    """Returns stored images of the split called `name` as the model sees them
    [B, H, W, C], and the key of each one's noise [B]."""
    preprocess_keys = rng.per_example(rng.stream(seed, f"{name}_data"), positions)
    keys = rng.per_example(rng.stream(seed, f"{name}_latent"), positions)
    return preprocess(stored.images, preprocess_keys), keys


def evaluate(
    routine: Any,
    state: tuple[Params, Array],
    split: Split,
    *,
    name: str,
    num_samples: int,
    batch_size: int,
    by_example: jax.sharding.NamedSharding,
    code_dim: int,
    is_discrete: bool,
    on_batch: Callable[[int], None] = lambda images: None,
) -> Generator[Request, ImageBounds, dict[str, Any]]:
    """Evaluates a model on every image of a split, once.

    Args:
      routine: the compiled `make_evaluate_batch` of this name and number of samples.
      state: the model's variables, and the seed.
      split: the images.
      name: of the split, in the results.
      num_samples: K.
      batch_size: images at once; changes no result.
      by_example: shards the leading axis over the devices.
      code_dim: how many numbers a code has; the rest of its width is padding.
      is_discrete: whether the likelihood is one of discrete data.
      on_batch: told how many images are done.

    Returns:
      `{name}/elbo_nats`, `/elbo_stderr` (over images, if there are two or more),
      `/distortion_nats`, `/rate_nats`, `/nll_is{K}_nats`, `/nll_is{K}_stderr` (as that
      of the ELBO), `/nll_is{K}_ess` (mean over images, of K),
      `/bits_per_dim` (if the likelihood is discrete), `/images`, and
      `latent/active_units`, `latent/mean_variance` (of the posterior means, for each
      dimension; both of two images or more), and `latent/kl_per_dim` (where the rate
      is a sum over dimensions).
    """
    bounds = yield from bounds_of_split(
        routine,
        state,
        split,
        name=name,
        batch_size=batch_size,
        by_example=by_example,
        on_batch=on_batch,
    )
    by_dimension = bounds.posterior_mean, bounds.mean_error, bounds.kl_per_dimension
    mean, error, kl = jax.tree.map(lambda array: array[:, :code_dim], by_dimension)
    bounds = bounds._replace(posterior_mean=mean, mean_error=error, kl_per_dimension=kl)
    results = summarize(bounds, split, name=name, num_samples=num_samples)
    if is_discrete:  # the negative log of a density is no code length
        nats = results[f"{name}/nll_is{num_samples}_nats"]
        pixels = np.prod(split.images.shape[1:])
        results[f"{name}/bits_per_dim"] = float(nats / (pixels * np.log(2)))
    return results


def bounds_of_split(
    routine: Any,
    state: tuple[Params, Array],
    split: Split,
    *,
    name: str,
    batch_size: int,
    by_example: jax.sharding.NamedSharding,
    on_batch: Callable[[int], None] = lambda images: None,
) -> Generator[Request, ImageBounds, ImageBounds]:
    """Returns the bounds of every image of a split, in its order; see `evaluate`."""
    devices = by_example.num_devices
    batch_size = -(-batch_size // devices) * devices
    parts = []
    for stored, positions, count in split.padded_batches(batch_size):
        images, places = jax.device_put((stored, positions), by_example)
        moment = name, int(positions[0])
        request = Request(routine, (*state, images), (places,), moment)
        # Where memory lacks, the former raises; the latter alone would wait for ever.
        part = jax.device_get(jax.block_until_ready((yield request)))
        parts.append(jax.tree.map(lambda array, n=count: array[:n], part))
        on_batch(count)
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def summarize(
    bounds: ImageBounds, split: Split, *, name: str, num_samples: int
) -> dict[str, Any]:
    """Averages bounds over the images of a split, in float64; see `evaluate`."""
    bounds = jax.tree.map(lambda array: np.asarray(array, np.float64), bounds)
    elbo = -np.add(bounds.distortion, bounds.rate)
    nll = -np.asarray(bounds.log_likelihood)
    nll_name = f"{name}/nll_is{num_samples}"
    results = {
        **mean_and_error(f"{name}/elbo", elbo),
        f"{name}/distortion_nats": float(np.mean(bounds.distortion)),
        f"{name}/rate_nats": float(bounds.rate.mean()),
        **mean_and_error(nll_name, nll),
        f"{nll_name}_ess": float(bounds.effective_sample_size.mean()),
        f"{name}/images": split.size,
    }
    if bounds.mean_error is not None and split.size > 1:  # a single one has no variance
        variance = variance_of_means(bounds.posterior_mean, bounds.mean_error)
        results["latent/active_units"] = active_units(variance)
        results["latent/mean_variance"] = np.asarray(variance).tolist()
    if bounds.kl_per_dimension is not None:
        results["latent/kl_per_dim"] = np.mean(bounds.kl_per_dimension, 0).tolist()
    return results


def mean_and_error(name: str, values: np.ndarray) -> dict[str, float]:
    """Returns the mean of values [N] as `{name}_nats`, and its standard error as
    `{name}_stderr`, which a single value does not have."""
    results = {f"{name}_nats": float(values.mean())}
    if len(values) > 1:
        results[f"{name}_stderr"] = standard_error(values)
    return results


def standard_error(values: np.ndarray) -> float:
    """Returns the standard error of the mean of values [N], N > 1."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))

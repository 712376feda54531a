"""How far reconstructions are from the images."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from vae import rng
from vae.data.splits import Split
from vae.evaluation.base import Preprocess, Trained, map_batches, standard_error
from vae.latents.aggregate import infer_stored
from vae.models.base import Model
from vae.types import Params


def run(trained: Trained) -> dict[str, float]:
    """Returns `test/reconstruction_mse`, the mean over images and pixels of the squared
    difference between an image and the mean of p(x | z), with one z of q(z | x) for
    each image, and its standard error over images, if there are two or more.

    Pixels are as the model sees them; those that are missing (nan) do not count.
    """
    test = trained.subject.dataset.test
    errors_of = trained.compiled(make_errors)
    given = trained.variables, trained.seed
    errors = map_batches(
        lambda places: errors_of(*given, test[places], places),
        np.arange(test.size),
        trained.batch_size,
        trained.on_batch,
    ).astype(np.float64)
    results = {"test/reconstruction_mse": float(errors.mean())}
    if test.size > 1:
        results["test/reconstruction_mse_stderr"] = standard_error(errors)
    return results


def make_errors(model: Model, preprocess: Preprocess) -> Callable[..., jax.Array]:
    """Returns (variables, seed, stored images [B], places [B]) -> the mean squared
    error of each reconstruction [B], pure."""

    def errors(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        key = rng.stream(seed, "reconstruction")
        x, inference = infer_stored(model, variables, preprocess, stored, places, key)
        squares = (x - inference.likelihood.mean[0]) ** 2
        mean = jnp.nanmean if model.observed_only else jnp.mean
        return mean(squares, axis=tuple(range(1, x.ndim)))

    return errors

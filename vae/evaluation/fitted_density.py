"""A density fitted to the codes of training images: samples of it, and how well it
describes the codes of test images."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vae import rng
from vae.data.splits import Split, evenly_spaced
from vae.evaluation.base import Preprocess, Subject, Trained, map_batches
from vae.fields import Natural
from vae.latents.aggregate import FITTED_CODES, fit_gaussian_mixture, infer_stored
from vae.models.base import REALS, Model
from vae.types import Params

BATCH = 500
SAMPLES = 128  # shown


def applies(subject: Subject, *, components: int) -> str | None:
    codes = min(subject.dataset.train.size, FITTED_CODES)
    if subject.model.space != REALS:
        return "fits Gaussians, but the codes are discrete or on the sphere"
    if components > codes:
        return f"asks for {components} components, more than the {codes} codes"
    return None


def run(trained: Trained, *, components: Natural = 0) -> dict[str, Any]:
    """Returns the cross-entropy of the density, a mixture of Gaussians, with the test
    codes, `latent/fitted{components}_nll_nats`, and `fitted_codes` drawn from it."""
    train, seed = trained.subject.dataset.train, int(trained.seed)
    some = train[evenly_spaced(train.size, min(train.size, FITTED_CODES))]
    density = fit_gaussian_mixture(_codes(trained, some, "train"), components, seed)
    drawn = density.sample(rng.stream(seed, "samples"), (SAMPLES,))
    codes = _codes(trained, trained.subject.dataset.test, "test")
    nll = float(-density.log_prob(codes).mean())
    return {name_of(components): nll, "fitted_codes": np.asarray(drawn)}


def name_of(components: int) -> str:
    return f"latent/fitted{components}_nll_nats"


def _codes(trained: Trained, split: Split, name: str) -> np.ndarray:
    draw = trained.compiled_own(make_draw, f"{name}_codes")
    given = trained.own_variables, trained.seed
    return map_batches(
        lambda places: draw(*given, split[places], places),
        np.arange(split.size),
        BATCH,
        trained.on_batch,
    )


def make_draw(
    model: Model, preprocess: Preprocess, name: str
) -> Callable[..., jax.Array]:
    """Returns (variables, seed, stored images [B], places [B]) -> a code of each
    posterior [B, D], by the stream called `name`."""

    def draw(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        key = rng.stream(seed, name)
        _, inference = infer_stored(model, variables, preprocess, stored, places, key)
        return inference.codes[0]

    return draw

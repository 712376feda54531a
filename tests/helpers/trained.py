"""Models as evaluations are given them."""

from typing import Any

import jax
import numpy as np

from experiments.program import make_program
from experiments.trained import make_trained
from tests.helpers import linear_gaussian as exact
from vae.build import build
from vae.data.splits import Dataset, Split
from vae.evaluation.base import Subject, Trained


def untrained(config: Any, change: Any = lambda params: params) -> Trained:
    """A model of a configuration as it is initialised, with its parameters changed."""
    experiment = build(config)
    program = make_program(experiment)
    state, _ = program.initialize(experiment)
    model = change(state.params["model"])
    state = state._replace(params={**state.params, "model": model})
    return make_trained(experiment, program, state)


def linear(count: int, params: Any, importance_samples: int) -> Trained:
    """The linear model, whose log p(x) is known, and `count` images of it."""

    def preprocess(stored: jax.Array, keys: jax.Array) -> jax.Array:
        del keys
        return stored

    def compiled(make: Any, *arguments: Any, latent_dim: int | None = None) -> Any:
        return jax.jit(make(exact.MODEL, preprocess, *arguments))

    images = Split(exact.images(count), None)
    return Trained(
        subject=Subject(
            model=exact.MODEL,
            preprocess=preprocess,
            dataset=Dataset(images, images[:0], images),
            factors=None,
            anomalies=None,
            latent_dim=exact.LATENT_DIM,
            code_dim=exact.LATENT_DIM,
            binarize="none",
            keep_labels=(),
        ),
        variables={"params": params},
        seed=np.uint32(0),
        cut=lambda variables: variables,
        compiled=compiled,
        bounds=lambda split, name, num_samples, on_batch: None,
        importance_samples=importance_samples,
        batch_size=100,
        device=jax.devices()[0],
        training={},
        display=lambda pixels: pixels,
        results={},
    )

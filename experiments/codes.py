"""Posterior means of a run's images, and how disentangled they are."""

from typing import Any

import jax
import numpy as np

from experiments.program import own_model
from vae import rng
from vae.build import Experiment
from vae.data.factors import FactorSource, factors_at, index_of, num_images
from vae.data.splits import evenly_spaced
from vae.training.state import TrainState
from vae.types import Params, UserError

BATCH = 512  # images encoded at once


class CodeTable:
    """The posterior means of a data set's images, by their factors: each is computed
    once, when it is first asked for."""

    def __init__(self, experiment: Experiment, state: TrainState):
        self._source = _source_of(experiment)
        self._encode = _make_encode(experiment, state)
        count = num_images(self._source)
        self._codes = np.zeros((count, experiment.latent_dim), np.float32)
        self._known = np.zeros(count, bool)

    def __call__(self, factors: np.ndarray) -> np.ndarray:
        """Returns the codes [N, D] of the images of factors [N, F]."""
        index = index_of(self._source, factors)
        missing = np.unique(index[~self._known[index]])
        for start in range(0, len(missing), BATCH):
            some = missing[start : start + BATCH]
            padded = np.resize(some, BATCH)
            _, codes = self._encode(self._stored(padded), padded.astype(np.int32))
            self._codes[some] = np.asarray(codes)[: len(some)]
        self._known[missing] = True
        return self._codes[index]

    def _stored(self, index: np.ndarray) -> Any:
        return self._source.stored(factors_at(self._source, index))


def score_factors(experiment: Experiment, state: TrainState) -> dict[str, float]:
    """Returns `disentanglement/...`, computed from posterior means: see
    `vae.evaluation.disentanglement`."""
    # scikit-learn takes a second to import
    from vae.evaluation.disentanglement.scores import Protocol, score_all

    protocol = Protocol(
        num_train=experiment.factor_points, num_test=experiment.factor_points // 2
    )
    scores = score_all(
        CodeTable(experiment, state),
        _source_of(experiment),
        seed=experiment.seed,
        protocol=protocol,
    )
    return scores | {"disentanglement/points": experiment.factor_points}


def _source_of(experiment: Experiment) -> FactorSource:
    if experiment.factors is None:
        name = experiment.config["dataset"]["name"]
        raise UserError(f"dataset.name={name} has no known factors")
    return experiment.factors


def posterior_means(
    experiment: Experiment, state: TrainState, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns `count` test images evenly spaced, as the model sees them [N, H, W, C],
    and their posterior means [N, D]."""
    test = experiment.dataset.test
    places = evenly_spaced(test.size, count).astype(np.int32)
    x, means = _make_encode(experiment, state)(test[places].images, places)
    return np.asarray(x, np.float32), np.asarray(means)


def _make_encode(experiment: Experiment, state: TrainState) -> Any:
    """Returns (stored images [B], places [B]) -> x [B, H, W, C], means [B, D].

    What is drawn at a look (colour, noise, binary pixels) depends on the place only.
    """
    model, variables = own_model(experiment, state)
    key = rng.stream(experiment.seed, "codes")

    @jax.jit
    def encode(
        variables: Params, stored: Any, places: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        x = experiment.preprocess(stored, rng.per_example(key, places))
        return x, model.apply(variables, x, method="encode").posterior.mean

    return lambda stored, places: encode(variables, stored, places)

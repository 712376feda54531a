"""Posterior means of a run's images, and how disentangled they are."""

from typing import Any

import jax
import numpy as np

from experiments import interrupt
from experiments.program import own_model
from vae import rng
from vae.build import Experiment
from vae.data.factors import factors_at, index_of, num_images
from vae.data.splits import evenly_spaced
from vae.training.loop import Interrupted
from vae.training.state import TrainState
from vae.types import Params

BATCH = 512  # images encoded at once


class CodeTable:
    """The posterior means of a data set's images, by their factors: each is computed
    once, when it is first asked for."""

    def __init__(self, experiment: Experiment, state: TrainState):
        assert experiment.factors is not None, "checked when it was built"
        self.source = experiment.factors
        self._encode = _make_encode(experiment, state)
        count = num_images(self.source)
        self._codes = np.zeros((count, experiment.latent_dim), np.float32)
        self._known = np.zeros(count, bool)

    def __call__(self, factors: np.ndarray) -> np.ndarray:
        """Returns the codes [N, D] of the images of factors [N, F].

        Raises:
          Interrupted: the process was asked to stop.
        """
        if interrupt.requested():
            raise Interrupted("stopped while codes were scored; the rest is saved")
        index = index_of(self.source, factors)
        missing = np.unique(index[~self._known[index]])
        for start in range(0, len(missing), BATCH):
            some = missing[start : start + BATCH]
            padded = np.resize(some, BATCH)
            _, codes = self._encode(self._stored(padded), padded.astype(np.int32))
            self._codes[some] = np.asarray(codes)[: len(some)]
        self._known[missing] = True
        return self._codes[index]

    def _stored(self, index: np.ndarray) -> Any:
        return self.source.stored(factors_at(self.source, index))


def score_factors(experiment: Experiment, state: TrainState) -> dict[str, float]:
    """Returns `disentanglement/...`, computed from posterior means, but for infinite
    ones: see `vae.evaluation.disentanglement`."""
    # scikit-learn takes a second to import
    from vae.evaluation.disentanglement.scores import Protocol, score_all

    protocol = Protocol(
        num_train=experiment.factor_points, num_test=experiment.factor_points // 2
    )
    table = CodeTable(experiment, state)
    scores = score_all(
        table,
        table.source,
        seed=experiment.seed,
        protocol=protocol,
    )
    scores = {name: value for name, value in scores.items() if np.isfinite(value)}
    return scores | {"disentanglement/points": experiment.factor_points}


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

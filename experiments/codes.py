"""Posterior means of a run's images, and how disentangled they are."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import interrupt, workdir
from experiments.program import Program
from vae.build import Experiment
from vae.data.factors import factors_at, index_of, num_images
from vae.data.splits import evenly_spaced
from vae.training.loop import Interrupted
from vae.training.state import TrainState

BATCH = 512  # images encoded at once
COMPARED = 2_000  # test images by whose codes models are compared
CODES_FILE = "codes.npy"
SCORES = "disentanglement/"  # begins the name of each


class CodeTable:
    """The posterior means of a data set's images, by their factors, and codes drawn
    from the posteriors: each is computed once, when it is first asked for."""

    def __init__(self, experiment: Experiment, program: Program, state: TrainState):
        assert experiment.factors is not None, "checked when it was built"
        self.source = experiment.factors
        self._encode = functools.partial(
            program.views.encode, state.variables, state.seed
        )
        count = num_images(self.source)
        self._means = np.zeros((count, experiment.latent_dim), np.float32)
        self._drawn = np.zeros_like(self._means)
        self._known = np.zeros(count, bool)

    def means(self, factors: np.ndarray) -> np.ndarray:
        """Returns the posterior means [N, D] of the images of factors int [N, F].

        Raises:
          Interrupted: the process was asked to stop.
        """
        return self._means[self._look_up(factors)]

    def draw(self, factors: np.ndarray) -> np.ndarray:
        """Returns a code of each posterior: see `means`."""
        return self._drawn[self._look_up(factors)]

    def _look_up(self, factors: np.ndarray) -> np.ndarray:
        """Returns the places [N] of images in the table, where their codes now are."""
        if interrupt.requested():
            raise Interrupted("stopped while codes were scored; the rest is saved")
        index = index_of(self.source, factors)
        missing = np.unique(index[~self._known[index]])
        for start in range(0, len(missing), BATCH):
            some = missing[start : start + BATCH]
            padded = np.resize(some, BATCH)
            _, *found = self._encode(self._stored(padded), padded.astype(np.int32))
            for table, codes in zip((self._means, self._drawn), found, strict=True):
                # The rest of the latent space is padding.
                table[some] = np.asarray(codes)[: len(some), : table.shape[-1]]
        self._known[missing] = True
        return index

    def _stored(self, index: np.ndarray) -> Any:
        return self.source.stored(factors_at(self.source, index))


def score_factors(
    experiment: Experiment, program: Program, state: TrainState
) -> dict[str, float]:
    """Returns `disentanglement/...`: see `vae.evaluation.disentanglement`."""
    # scikit-learn takes a second to import
    from vae.evaluation.disentanglement.scores import Protocol, score_all

    protocol = Protocol(
        num_train=experiment.factor_points, num_test=experiment.factor_points // 2
    )
    table = CodeTable(experiment, program, state)
    scores = score_all(
        table.means,
        table.source,
        seed=experiment.seed,
        draw=table.draw,
        protocol=protocol,
    )
    return scores | {"disentanglement/points": experiment.factor_points}


def save_codes(
    experiment: Experiment, program: Program, state: TrainState, folder: Path
) -> None:
    """Writes `codes.npy`, by which models are compared: the posterior means [N, D] of
    test images evenly spaced."""
    _, means = posterior_means(experiment, program, state, COMPARED)
    np.save(folder / CODES_FILE, means)


def score_agreement(folders: Sequence[Path]) -> list[dict[str, float]]:
    """Returns for each run `disentanglement/udr_...`: how far the others, of which all
    but the seed is the same, agree with it; nothing if there are no others or no codes.

    See `vae.evaluation.disentanglement.udr`.
    """
    if len(folders) < 2 or not all((f / CODES_FILE).exists() for f in folders):
        return [{} for _ in folders]
    from vae.evaluation.disentanglement.udr import udr_lasso, udr_spearman

    codes = np.stack([np.load(folder / CODES_FILE) for folder in folders])
    results = (workdir.read_json(folder / "results.json") for folder in folders)
    kl = np.array([result["latent/kl_per_dim"] for result in results])
    pairs = zip(udr_lasso(codes, kl), udr_spearman(codes, kl), strict=True)
    return [
        {
            "disentanglement/udr_lasso": float(lasso),
            "disentanglement/udr_spearman": float(spearman),
        }
        for lasso, spearman in pairs
    ]


def posterior_means(
    experiment: Experiment, program: Program, state: TrainState, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns `count` test images evenly spaced, or all if there are fewer, as the
    model sees them [N, H, W, C], and their posterior means [N, D]."""
    test = experiment.dataset.test
    places = evenly_spaced(test.size, min(count, test.size)).astype(np.int32)
    stored = test[places].images
    x, means, _ = program.views.encode(state.variables, state.seed, stored, places)
    return np.asarray(x, np.float32), np.asarray(means)[:, : experiment.latent_dim]

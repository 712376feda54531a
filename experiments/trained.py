"""What evaluations are given of trained runs."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from experiments.figures import display_of
from experiments.program import Program
from vae.bind import parameters_of
from vae.build import Experiment
from vae.data.splits import Dataset, Split
from vae.evaluation.base import Trained, map_batches
from vae.evaluation.bounds import ImageBounds, summarise
from vae.evaluation.collapse import CYCLICAL, FREE_BITS, LOWER_BETA, WARM_UP
from vae.models.likelihoods import Gaussian
from vae.registry import OBJECTIVES
from vae.saved import cut_padding
from vae.training.state import TrainState
from vae.types import Params


class TrainedRuns:
    """The runs of a population, as evaluations are given them.

    Args:
      runs: N runs.
      program: theirs.
      state: of the population of M >= N runs.
    """

    def __init__(
        self,
        runs: Sequence[Experiment],
        program: Program,
        state: TrainState,
    ):
        self._runs, self._program = runs, program
        self._population = state.variables, state.seed
        averaged = state.averaged
        self._average = averaged and TrainedRuns(runs, program, averaged)
        self._found: dict[tuple[str, int], ImageBounds] = {}

    def trained(self, index: int) -> Trained:
        """Returns one of the runs."""
        run = self._runs[index]
        variables, seed = self._take(index)
        return Trained(
            subject=run.subject,
            variables=variables,
            seed=seed,
            cut=functools.partial(cut_padding, run),
            compiled=self._program.compiled,
            bounds=functools.partial(self._bounds, index),
            importance_samples=run.config["evaluate"]["bounds"]["importance_samples"],
            batch_size=run.config["runtime"]["evaluation_batch_size"],
            device=run.placement.mesh.local_devices[0],
            training=causes(run) | {"steps": run.plan.steps},
            display=display_of(run.dataset),
            results={},
            average=self._average and self._average.trained(index),
        )

    def validate(self) -> list[dict[str, float]]:
        """Returns validation metrics of each run."""
        found = []
        for index, run in enumerate(self._runs):
            name, split = "validation", run.dataset.validation
            bounds = self._bounds(index, split, name, 1, lambda images: None)
            results = summarise(run.subject, bounds, name, 1)
            found.append({metric: float(results[metric]) for metric in VALIDATION})
        return found

    def _take(self, index: int) -> tuple[Params, jax.Array]:
        """Returns variables and seed of one run, on all devices."""
        own = _slice(self._population, index)
        return jax.device_put(own, self._runs[index].placement.replicated)

    def _bounds(
        self,
        index: int,
        split: Split,
        name: str,
        num_samples: int,
        on_batch: Callable[[int], None],
    ) -> ImageBounds:
        """Returns the bounds of images of one run. The first request for test or
        validation images computes the bounds of all runs together."""
        splits = [getattr(run.dataset, name, split) for run in self._runs]
        are_alike = len({each.size for each in splits}) == 1
        is_alone = len(splits) == 1 or name not in Dataset._fields or not are_alike
        if is_alone or splits[index] is not split:
            own = self._take(index)
            return self._compute(own, [split], name, num_samples, on_batch)
        key = name, num_samples
        if key not in self._found:
            _, seeds = self._population
            splits += splits[-1:] * (len(seeds) - len(splits))
            self._found[key] = self._compute(self._population, splits, *key, on_batch)
        return jax.tree.map(lambda array: array[:, index], self._found[key])

    def _compute(
        self,
        runs: tuple[Params, jax.Array],
        splits: Sequence[Split],
        name: str,
        num_samples: int,
        on_batch: Callable[[int], None],
    ) -> ImageBounds:
        """Returns the bounds of images [N] of one run, or [N, M] of M runs."""
        placement = self._runs[0].placement
        devices = placement.num_devices
        size = self._runs[0].config["runtime"]["evaluation_batch_size"]
        evaluate = self._program.evaluate(name, num_samples, len(splits))
        axes = ("example",) if len(splits) == 1 else ("run", "example")
        shardings = placement.over(*axes), placement.over("example")

        def of_batch(places: np.ndarray) -> ImageBounds:
            stored = [split[places] for split in splits]
            if len(splits) > 1:
                stored = [jax.tree.map(lambda *arrays: np.stack(arrays), *stored)]
            return evaluate(*runs, *jax.device_put((*stored, places), shardings))

        everything, whole = np.arange(splits[0].size), -(-size // devices) * devices
        return map_batches(of_batch, everything, whole, on_batch)


_slice = jax.jit(lambda tree, run: jax.tree.map(lambda array: array[run], tree))
VALIDATION = (
    "validation/elbo_nats",
    "validation/distortion_nats",
    "validation/rate_nats",
)


def make_trained(
    experiment: Experiment, program: Program, state: TrainState
) -> Trained:
    """Returns what evaluations are given of one run."""
    population = jax.tree.map(lambda array: array[None], state)
    return TrainedRuns([experiment], program, population).trained(0)


def causes(experiment: Experiment) -> dict[str, Any]:
    """Returns the settings that `collapse.remedies` depends on. A remedy is excluded if
    it is in use, or if the objective or the model cannot take it."""
    objective, model = experiment.config["objective"], experiment.model
    read = parameters_of(OBJECTIVES[objective["name"]])
    is_annealed = "annealing" in read
    works = {
        WARM_UP: is_annealed and objective["annealing"] not in ("linear", "sigmoid"),
        CYCLICAL: is_annealed and objective["annealing"] != "cyclical",
        FREE_BITS: not objective["name"].startswith("free_bits")
        and all(model.rates_are_divergences),
        LOWER_BETA: "beta" in read,
    }
    return {
        "beta": float(objective["beta"]),
        "has_fixed_variance": isinstance(model.likelihood, Gaussian),
        "excluded": [remedy for remedy, can_help in works.items() if not can_help],
    }

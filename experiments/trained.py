"""What evaluations are given of trained runs."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from experiments.figures import display_of
from experiments.program import Program, cut_padding
from vae.build import Experiment
from vae.data.splits import Dataset, Split
from vae.evaluation.base import Trained
from vae.evaluation.bounds import ImageBounds, bounds_of_splits, evaluate_split
from vae.evaluation.collapse import CYCLICAL, FREE_BITS, WARM_UP
from vae.models.likelihoods import Gaussian
from vae.training.state import TrainState
from vae.types import Params


def make_trained(
    experiment: Experiment, program: Program, state: TrainState
) -> Trained:
    """Returns what evaluations are given of a run."""
    population = jax.tree.map(lambda array: array[None], (state.variables, state.seed))
    (trained,) = trained_of([experiment], program, *population)
    return trained


def trained_of(
    runs: Sequence[Experiment], program: Program, variables: Params, seeds: jax.Array
) -> list[Trained]:
    """Returns what evaluations are given of each run of a population.

    Args:
      runs: N runs.
      program: theirs.
      variables: of the population [M, ...], M >= N.
      seeds: of the population [M].
    """
    bounds = _Bounds(runs, program, variables, seeds)
    trained = []
    for i, run in enumerate(runs):
        evaluate = run.config["evaluate"]
        own_variables, seed = bounds.take(i)
        trained.append(
            Trained(
                subject=run.subject,
                variables=own_variables,
                seed=seed,
                cut=functools.partial(cut_padding, run),
                compiled=program.compiled,
                bounds=functools.partial(bounds.of_run, i),
                importance_samples=evaluate["bounds"]["importance_samples"],
                batch_size=run.config["runtime"]["evaluation_batch_size"],
                device=run.placement.mesh.local_devices[0],
                training=causes(run) | {"steps": run.plan.steps},
                display=display_of(run.dataset),
                results={},
            )
        )
    return trained


class _Bounds:
    """Bounds of the images of a population's runs. The first run that asks for those of
    its test or validation images computes those of all runs together."""

    def __init__(
        self,
        runs: Sequence[Experiment],
        program: Program,
        variables: Params,
        seeds: jax.Array,
    ):
        self._runs, self._program = runs, program
        self._population = variables, seeds
        self._found: dict[tuple[str, int], list[ImageBounds]] = {}

    def take(self, run: int) -> tuple[Params, jax.Array]:
        """Returns variables and seed of one run, on all devices."""
        own = _take(self._population, run)
        return jax.device_put(own, self._runs[run].placement.replicated)

    def of_run(
        self,
        run: int,
        split: Split,
        name: str,
        num_samples: int,
        on_batch: Callable[[int], None],
    ) -> ImageBounds:
        splits = [getattr(each.dataset, name, split) for each in self._runs]
        are_alike = len({each.size for each in splits}) == 1
        is_own = len(splits) == 1 or name not in Dataset._fields or not are_alike
        if is_own or splits[run] is not split:
            own = jax.tree.map(lambda array: array[None], self.take(run))
            return self._compute(own, [split], name, num_samples, on_batch)[0]
        key = name, num_samples
        if key not in self._found:
            _, seeds = self._population
            splits += splits[-1:] * (len(seeds) - len(splits))
            self._found[key] = self._compute(
                self._population, splits, name, num_samples, on_batch
            )
        return self._found[key][run]

    def _compute(
        self,
        population: tuple[Params, jax.Array],
        splits: Sequence[Split],
        name: str,
        num_samples: int,
        on_batch: Callable[[int], None],
    ) -> list[ImageBounds]:
        run = self._runs[0]
        placement, size = run.placement, run.config["runtime"]["evaluation_batch_size"]
        shardings: Any = placement.by_run_and_example, placement.by_example
        if placement.of_runs and len(splits) == 1:
            shardings = placement.replicated
        devices = placement.num_devices
        return bounds_of_splits(
            self._program.evaluate(name, num_samples),
            *population,
            splits,
            batch_size=-(-size // devices) * devices,
            put=lambda given: jax.device_put(given, shardings),
            on_batch=on_batch,
        )


_take = jax.jit(lambda tree, run: jax.tree.map(lambda array: array[run], tree))


def causes(experiment: Experiment) -> dict[str, Any]:
    """Returns the settings that `collapse.remedies` depends on."""
    objective = experiment.config["objective"]
    is_in_use = {
        WARM_UP: objective["annealing"] in ("linear", "sigmoid"),
        CYCLICAL: objective["annealing"] == "cyclical",
        FREE_BITS: objective["name"].startswith("free_bits"),
    }
    return {
        "beta": float(experiment.config["objective"]["beta"]),
        "has_fixed_variance": isinstance(experiment.model.likelihood, Gaussian),
        "in_use": [remedy for remedy, is_used in is_in_use.items() if is_used],
    }


VALIDATION = (
    "validation/elbo_nats",
    "validation/distortion_nats",
    "validation/rate_nats",
)


def validate(
    runs: Sequence[Experiment], program: Program, state: TrainState
) -> list[dict[str, float]]:
    """Returns validation metrics of each run of a population."""
    found = []
    for trained in trained_of(runs, program, state.variables, state.seed):
        split = trained.subject.dataset.validation
        results = evaluate_split(trained, split, name="validation", num_samples=1)
        found.append({name: float(results[name]) for name in VALIDATION})
    return found

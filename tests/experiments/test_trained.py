"""What evaluations are given of a population, and of each of its runs."""

import jax
import numpy as np
import pytest

from experiments.program import make_program
from experiments.trained import VALIDATION, TrainedRuns, causes, make_trained
from vae.build import build, vary
from vae.evaluation.collapse import CYCLICAL, FREE_BITS, WARM_UP
from vae.training.state import stack_runs


@pytest.mark.slow
def test_runs_of_a_population_have_the_bounds_of_each_alone(small_config) -> None:
    small_config.dataset.validation_size = 40
    first = build(small_config)
    program = make_program(first)
    small_config.seed = 1
    runs = [first, vary(first, small_config)]
    carries = [program.initialize(run) for run in runs]
    states = [state for state, _ in carries]
    population, _ = stack_runs(carries)
    population = TrainedRuns(runs, program, population.variables, population.seed)
    together = [population.trained(run) for run in range(2)]
    split = first.dataset.validation
    bounds = [t.bounds(split, "validation", 1, lambda n: None) for t in together]
    for run, state, found, trained in zip(runs, states, bounds, together, strict=True):
        alone = make_trained(run, program, state)
        expected = alone.bounds(split, "validation", 1, lambda n: None)
        for left, right in zip(
            jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
        ):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4)
        jax.tree.map(np.testing.assert_array_equal, trained.variables, state.variables)
    metrics = population.validate()
    assert [m.keys() for m in metrics] == [set(VALIDATION)] * 2
    assert metrics[0] != metrics[1]  # of two seeds


@pytest.mark.parametrize(
    ("changes", "in_use"),
    [
        ({}, []),
        ({"objective.annealing": "linear"}, [WARM_UP]),
        ({"objective.annealing": "cyclical"}, [CYCLICAL]),
        ({"objective.name": "free_bits"}, [FREE_BITS]),
    ],
)
def test_remedies_that_are_in_use_are_known(
    small_config, changes: dict[str, str], in_use: list[str]
) -> None:
    small_config.update_from_flattened_dict(changes)
    found = causes(build(small_config))
    assert found == {"beta": 1.0, "has_fixed_variance": False, "in_use": in_use}

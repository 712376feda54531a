from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.training import assert_equal, train
from vae.training.state import (
    NORMS,
    TrainState,
    add_to_totals,
    emptied,
    first_nonfinite,
    read_totals,
    run_of,
    stack_runs,
    totals_of,
    zero_totals,
)


def test_totals_are_means_and_the_last_norms() -> None:
    totals = zero_totals(("loss", *NORMS), jnp.float32)
    for step, (loss, norm) in enumerate([(1.0, 0.0), (2.0, 0.0), (6.0, 7.0)], 1):
        metrics = {"loss": loss, **dict.fromkeys(NORMS, norm)}
        traced = jax.tree.map(jnp.float32, metrics)
        totals = add_to_totals(totals, traced, jnp.int32(step))
    assert read_totals(totals) == {"loss": 3.0, **dict.fromkeys(NORMS, 7.0)}
    assert first_nonfinite(totals) is None
    for step, loss in ((4, np.inf), (5, np.nan)):
        metrics = {"loss": jnp.float32(loss), **dict.fromkeys(NORMS, jnp.float32(1))}
        totals = add_to_totals(totals, metrics, jnp.int32(step))
    assert first_nonfinite(totals) == (4, ["loss"])


@pytest.mark.slow
def test_norms_are_those_of_the_last_step(small_config) -> None:
    small_config.train.log_every = 20
    state, totals = train(small_config)
    metrics = read_totals(totals)
    squares = [np.square(leaf).sum() for leaf in jax.tree.leaves(state.params)]
    np.testing.assert_allclose(metrics["param_norm"], np.sqrt(sum(squares)), rtol=1e-5)
    assert all(metrics[name] > 0 for name in NORMS)


@pytest.mark.slow
def test_divergence_names_the_first_step_and_terms(small_config) -> None:
    _, totals = train(small_config)
    assert first_nonfinite(totals) is None
    small_config.optimizer.learning_rate = 1e6
    found = first_nonfinite(train(small_config)[1])
    assert found is not None
    step, terms = found
    assert step == 2
    assert {"loss", "rate_nats"} <= set(terms)


def carries(count: int) -> list[Any]:
    """Runs at step 3 with numbers of their own."""

    def carry(run: int) -> Any:
        own = jnp.arange(2.0) + run
        totals = zero_totals(("loss",), jnp.float32)._replace(sums={"loss": own[0]})
        hparams = {"beta": jnp.float32(run)}
        return TrainState(jnp.int32(3), jnp.uint32(run), own, (own,), hparams), totals

    return [carry(run) for run in range(count)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_population_is_taken_apart_into_its_runs(count: int) -> None:
    runs = carries(count)
    population = stack_runs(runs)
    assert population[0].params.shape == (count, 2)
    assert population[0].step.shape == population[1].steps.shape == ()
    for i, run in enumerate(runs):
        assert_equal(run_of(population, i), run)
        assert_equal(totals_of(population[1], i), run[1])


def test_emptied_totals_are_those_of_no_steps() -> None:
    names, count = ("loss", "rate_nats"), 3
    never = zero_totals(names, jnp.float32)
    stacked = stack_runs([(carries(1)[0][0], never)] * count)[1]
    full = jax.tree.map(lambda array: np.ones_like(array) * 7, stacked)
    assert_equal(emptied(full), stacked)

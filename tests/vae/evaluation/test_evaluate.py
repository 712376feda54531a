from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.evaluate import evaluate_split
from experiments.program import Program, answer, make_program
from vae.build import Experiment, build
from vae.evaluation.evaluate import mean_and_error
from vae.evaluation.latent import active_units, variance_of_means
from vae.training.state import TrainState


def test_active_units_counts_means_that_vary() -> None:
    variances = np.array([1.0, 0.02, 0.0, 0.009])
    means = np.random.default_rng(0).normal(size=(4000, 4)) * np.sqrt(variances)
    assert active_units(variance_of_means(means, np.zeros_like(means))) == 2


def test_one_value_has_no_standard_error() -> None:
    assert mean_and_error("test/elbo", np.array([3.0])) == {"test/elbo_nats": 3.0}
    found = mean_and_error("a", np.array([1.0, 3.0]))
    assert found == {"a_nats": 2.0, "a_stderr": pytest.approx(1.0)}


def test_a_flow_that_ignores_the_image_has_no_active_units(small_config) -> None:
    """Its means are known from 20 samples only, whose noise alone has variance .05."""
    small_config.model.posterior.name = "planar_flow"
    experiment = build(small_config)
    program = make_program(experiment)
    state, _ = program.initialize(experiment)
    model = state.params["model"]
    model = {**model, "encoder": jax.tree.map(jnp.zeros_like, model["encoder"])}
    state = state._replace(params={**state.params, "model": model})
    assert results(experiment, program, state, 20)["latent/active_units"] == 0
    assert "latent/active_units" not in results(experiment, program, state, 1)


def results(
    experiment: Experiment, program: Program, state: TrainState, num_samples: int
) -> dict[str, Any]:
    test = experiment.dataset.test
    arguments = (experiment, program, state, test)
    return answer(evaluate_split(*arguments, name="test", num_samples=num_samples))


@pytest.mark.parametrize(("batch_size", "num_devices"), [(7, 1), (500, 1), (32, 4)])
def test_every_image_counts_once(
    small_config, batch_size: int, num_devices: int
) -> None:
    def results_of(batch_size: int, num_devices: int):
        small_config.evaluate.batch_size = batch_size
        small_config.runtime.num_devices = num_devices
        experiment = build(small_config)
        program = make_program(experiment)
        state, _ = program.initialize(experiment)
        return results(experiment, program, state, 3)

    got, expected = results_of(batch_size, num_devices), results_of(100, 1)
    assert got.keys() == expected.keys()
    assert got["test/images"] == 500
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=2e-5, err_msg=name)

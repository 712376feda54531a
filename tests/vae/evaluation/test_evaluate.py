import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.program import initial_carry
from vae.build import build
from vae.evaluation.latent import active_units


def test_active_units_counts_means_that_vary() -> None:
    variances = np.array([1.0, 0.02, 0.0, 0.009])
    means = np.random.default_rng(0).normal(size=(4000, 4)) * np.sqrt(variances)
    assert active_units(means, np.zeros_like(means)) == 2


def test_a_flow_that_ignores_the_image_has_no_active_units(small_config) -> None:
    """Its means are known from 20 samples only, whose noise alone has variance .05."""
    small_config.model.posterior.name = "planar_flow"
    experiment = build(small_config)
    params = initial_carry(experiment)[0].params["model"]
    params = {**params, "encoder": jax.tree.map(jnp.zeros_like, params["encoder"])}
    evaluate = experiment.make_evaluator(name="test", num_samples=20)
    assert evaluate(params, experiment.dataset.test)["latent/active_units"] == 0
    once = experiment.make_evaluator(name="test", num_samples=1)
    assert "latent/active_units" not in once(params, experiment.dataset.test)


@pytest.mark.parametrize(("batch_size", "num_devices"), [(7, 1), (500, 1), (32, 4)])
def test_every_image_counts_once(
    small_config, batch_size: int, num_devices: int
) -> None:
    def results(batch_size: int, num_devices: int):
        small_config.evaluate.batch_size = batch_size
        small_config.num_devices = num_devices
        experiment = build(small_config)
        params = initial_carry(experiment)[0].params["model"]
        evaluate = experiment.make_evaluator(name="test", num_samples=3)
        return evaluate(params, experiment.dataset.test)

    got, expected = results(batch_size, num_devices), results(100, 1)
    assert got.keys() == expected.keys()
    assert got["test/images"] == 500
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=2e-5, err_msg=name)

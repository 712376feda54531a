"""The moving average of weights, as a recursion and in whole runs."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.helpers.training import train
from vae.training.averaging import Averaged, with_average


def test_the_average_is_the_recursion_of_the_weights() -> None:
    """With d = .1, 2/11, 3/12 and then the decay, which is lower than 4/13."""
    jax.config.update("jax_enable_x64", True)
    params = {"model": {"kernel": jnp.arange(3.0)}, "objective": {}}
    tx = with_average(optax.with_extra_args_support(optax.sgd(0.5)), ema_decay=0.3)
    state, expected = tx.init(params), np.arange(3.0)
    for step, decay in enumerate([0.1, 2 / 11, 3 / 12, 0.3, 0.3]):
        grads = jax.tree.map(lambda p, step=step: jnp.sin(p + step), params)
        updates, state = tx.update(grads, state, params, step=jnp.int32(step))
        params = optax.apply_updates(params, updates)
        expected = decay * expected + (1 - decay) * params["model"]["kernel"]
        np.testing.assert_allclose(state.average["kernel"], expected, rtol=1e-6)


def test_without_a_decay_there_is_no_average() -> None:
    tx = optax.with_extra_args_support(optax.sgd(0.5))
    assert with_average(tx) is tx


@pytest.mark.slow
def test_training_is_the_same_with_an_average(small_config) -> None:
    """The weights, up to rounding. The last 10 of 20 steps of Adam move a weight by
    about .001 each, and the average lags behind by some of them."""
    small_config.precision = "float64"
    state, totals = train(small_config)
    assert state.averaged is None
    small_config.optimizer.ema_decay = 0.9
    other, other_totals = train(small_config)
    assert isinstance(other.opt_state, Averaged)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9),
        (state.params, totals),
        (other.params, other_totals),
    )
    average = other.averaged.variables["params"]
    gaps = jax.tree.leaves(optax.tree.sub(average, other.params["model"]))
    largest = max(float(jnp.abs(gap).max()) for gap in gaps)
    assert 1e-4 < largest < 20 * small_config.optimizer.learning_rate

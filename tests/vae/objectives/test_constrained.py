from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.helpers import linear_gaussian as exact
from vae.objectives import elbo
from vae.objectives.base import make_penalized
from vae.objectives.constrained import geco, make_geco
from vae.types import Objective


def value_and_grad(objective: Objective, params: Any, **numbers: float) -> Any:
    traced = {name: jnp.asarray(value) for name, value in numbers.items()}
    loss = jax.jit(jax.value_and_grad(objective.loss, has_aux=True))
    given = {"model": exact.params(0.3), "objective": params}
    return loss(given, exact.batch(16), jax.random.key(0), traced, jnp.int32(5))


def test_geco_raises_its_multiplier_while_the_constraint_is_broken() -> None:
    objective = make_geco(exact.MODEL, geco)
    own = {"log_multiplier": jnp.log(2.0), "average_excess": jnp.float32(0.7)}
    (loss, metrics), grads = value_and_grad(objective, own, distortion_target=1.0)
    excess = metrics["distortion_nats"] - 1
    np.testing.assert_allclose(loss, metrics["rate_nats"] + 2 * excess, rtol=1e-6)
    np.testing.assert_allclose(grads["objective"]["log_multiplier"], -0.7)
    np.testing.assert_allclose(
        grads["objective"]["average_excess"], 0.7 - excess, rtol=1e-5
    )
    # The model sees beta = 1 / 2, times the multiplier.
    vae = make_penalized(exact.MODEL, elbo.beta_vae)
    _, expected = value_and_grad(vae, {}, beta=0.5, annealing_steps=1.0)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, 2 * b, rtol=1e-4, atol=1e-5),
        grads["model"],
        expected["model"],
    )

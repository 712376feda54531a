"""The contract of models and their parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import linear_gaussian as exact
from vae import rng
from vae.models.base import CODES, REALS, SPHERE, check_space
from vae.types import Unsupported

X, PARAMS = exact.images(5), exact.params(0.3)
KEYS = rng.per_example(jax.random.key(0), jnp.arange(5))


def test_a_call_encodes_and_infers() -> None:
    variables = {"params": PARAMS}
    whole = exact.MODEL.apply(variables, X, KEYS, num_samples=3)
    keys = rng.per_sample(KEYS, jnp.arange(3))
    encoded = exact.MODEL.apply(variables, X, method="encode")
    parts = exact.MODEL.apply(variables, encoded, keys, method="infer")
    (one,), (other,) = whole.groups, parts.groups
    np.testing.assert_array_equal(one.z, other.z)
    np.testing.assert_array_equal(one.log_q, other.log_q)
    score = jax.jit(lambda likelihood: likelihood.log_prob(X))
    np.testing.assert_array_equal(score(whole.likelihood), score(parts.likelihood))
    decoded = exact.MODEL.apply(variables, one.z, method="decode")
    np.testing.assert_allclose(decoded.mean, whole.likelihood.mean, rtol=1e-6)


def test_generated_images_have_the_models_marginal() -> None:
    """Means of p(x | z) are N(bias, W W^T)."""
    key, count = jax.random.key(1), 20_000
    variables = {"params": PARAMS}
    generated = exact.MODEL.apply(variables, key, count, method="generate")
    means = np.asarray(generated.mean, np.float64).reshape(count, 4)
    products = means[:, :, None] * means[:, None]
    for draws, expected in ((means, 0), (products, exact.WEIGHTS @ exact.WEIGHTS.T)):
        error = draws.std(0) / np.sqrt(count)
        assert (np.abs(draws.mean(0) - expected) < 5 * error + 1e-6).all()


def test_parts_without_moving_averages_add_nothing() -> None:
    def ema_loss(params) -> jax.Array:
        return exact.MODEL.apply({"params": params}, X, KEYS).aux["ema_loss"]

    value, slope = jax.value_and_grad(lambda params: 0.0 + ema_loss(params))(PARAMS)
    assert value == 0
    assert not any(leaf.any() for leaf in jax.tree.leaves(slope))


@pytest.mark.parametrize("posterior", [REALS, SPHERE, CODES])
@pytest.mark.parametrize("prior", [REALS, SPHERE, CODES])
def test_a_prior_is_over_the_space_of_the_posterior(prior: str, posterior: str) -> None:
    if prior == posterior:
        check_space(prior, posterior)
        return
    reason = f"^the prior is over {prior}, but the posterior is over {posterior}$"
    with pytest.raises(Unsupported, match=reason) as error:
        check_space(prior, posterior)
    assert error.value.part == "prior"

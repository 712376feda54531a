from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import linear_gaussian as exact
from vae.objectives import discrepancy
from vae.objectives.discrepancy import maximum_mean_discrepancy
from vae.types import Unsupported

INFERENCE, TERMS, MOMENT = exact.inferred(16, posterior_shift=0.3)


def test_mmd_of_two_gaussians() -> None:
    """In two dimensions k = exp(-d^2 / 2), so E k = exp(-2 m^2 / 6) / 3 at distance m
    in both."""
    random = np.random.default_rng(0)
    estimates = [
        maximum_mean_discrepancy(
            random.normal(size=(200, 2)).astype("f4"),
            random.normal(shift, size=(200, 2)).astype("f4"),
            discrepancy.rbf,
            2,
        )
        for shift in (0.0, 1.0)
        for _ in range(100)
    ]
    for got, shift in zip(np.reshape(estimates, (2, 100)), (0, 1), strict=True):
        expected = 2 / 3 * (1 - np.exp(-(shift**2) / 3))
        np.testing.assert_allclose(got.mean(), expected, atol=5 * got.std() / 10)


def test_the_inverse_multiquadratic_kernel() -> None:
    distances = jnp.array([0.0, 3.0])
    scales = np.array([0.1, 0.2, 0.5, 1, 2, 5, 10])
    expected = [7, (8 * scales / (8 * scales + 3)).sum()]  # C = 2 D s with D = 4
    for dim in (4, jnp.asarray(4)):  # traced where the latent space is padded
        got = discrepancy.inverse_multiquadratic(distances, dim)
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_info_vae_meets_the_vae_and_wae() -> None:
    info = partial(discrepancy.info_vae, INFERENCE, TERMS, MOMENT)
    got, _ = info(alpha=0.0, mmd_weight=1.0)
    np.testing.assert_allclose(got, TERMS.rate.mean(), rtol=1e-6)
    expected, _ = discrepancy.wae_mmd(INFERENCE, TERMS, MOMENT, mmd_weight=10.0)
    got, _ = info(alpha=1.0, mmd_weight=10.0)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_prior_of_each_example_is_refused() -> None:
    (group,) = INFERENCE.groups
    inference = INFERENCE._replace(groups=(group._replace(prior=group.posterior),))
    with pytest.raises(Unsupported, match="^needs a prior that is the same"):
        discrepancy.wae_mmd(inference, TERMS, MOMENT)

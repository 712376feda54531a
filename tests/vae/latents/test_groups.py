"""A hierarchy whose image is its codes: z_2 ~ N(0, 1), z_1 ~ N(A z_2 + B, S^2), and the
mean of x is (z_1, z_2)."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Independent, Normal, Uniform

from vae.distributions.ancestral import Ancestral
from vae.latents import groups
from vae.models.base import REALS
from vae.models.hierarchy import Generator
from vae.models.posteriors import DiagonalGaussian
from vae.nn.layers import MLP
from vae.types import Unsupported

A, B, S = 0.8, 0.3, 0.6
COUNT = 40_000


def model(top: Any) -> Any:
    generator = Generator(MLP((), jnp.tanh), DiagonalGaussian(1))
    log_variance = {"kernel": jnp.zeros((1, 1)), "bias": jnp.log(jnp.array([S**2]))}
    mean = {"kernel": jnp.array([[A]]), "bias": jnp.array([B])}
    params = {"gaussian": {"mean": mean, "log_variance": log_variance}}
    prior = Ancestral(top, [generator], [{"params": params}], (1, 1))
    return SimpleNamespace(
        apply=lambda variables, label, method: prior, space=REALS, group_sizes=(1, 1)
    )


@pytest.fixture
def gaussian() -> Any:
    return model(Independent(Normal(jnp.zeros(1), jnp.ones(1)), 1))


@pytest.mark.parametrize("temperature", [(1, 1), (0.5, 1), (1, 0.5), (0, 2)])
def test_a_temperature_is_that_of_a_group_given_those_above(
    gaussian: Any, temperature: tuple[float, float]
) -> None:
    scale = groups.of_dimensions("temperature", temperature, (1, 1))
    changed = bool((scale != 1).any()), bool(scale[-1] != 1)
    z = groups.sample(gaussian, {}, jax.random.key(0), COUNT, None, scale, changed)
    z_1, z_2 = np.asarray(z, np.float64).T
    residual = z_1 - A * z_2 - B
    assert abs(residual.mean()) <= 5 * S * temperature[0] / COUNT**0.5 + 1e-6
    for values, expected in ((residual, S * temperature[0]), (z_2, temperature[1])):
        assert abs(values.std() - expected) < 5 * expected / (2 * COUNT) ** 0.5 + 1e-6


def test_a_top_without_a_scale_has_no_temperature() -> None:
    uniform = model(Independent(Uniform(jnp.zeros(1), jnp.ones(1)), 1))
    key, ones = jax.random.key(0), np.ones(2, np.float32)
    z = groups.sample(uniform, {}, key, 3, None, ones, (True, False))
    assert ((z[:, 1] >= 0) & (z[:, 1] <= 1)).all()
    with pytest.raises(Unsupported, match="has no temperature"):
        groups.sample(uniform, {}, key, 3, None, ones, (True, True))


@pytest.mark.parametrize("moves", [None, (True, True), (True, False), (False, True)])
def test_groups_that_do_not_move_keep_their_noise(
    gaussian: Any, moves: tuple[bool, bool] | None
) -> None:
    ends = jnp.array([[0.4, -1.0], [2.0, 1.5]])
    z_1, z_2 = np.asarray(groups.between(gaussian, {}, ends, 5, None, moves)).T
    low, high = moves or (True, True)
    share = np.linspace(0, 1, 5)
    np.testing.assert_allclose(z_2, -1 + 2.5 * share * high, rtol=1e-5)
    first, last = 0.4 + A - B, 2.0 - 1.5 * A - B
    expected = first + (last - first) * share * low
    np.testing.assert_allclose(z_1 - A * z_2 - B, expected, rtol=1e-4, atol=1e-6)


def test_one_number_is_for_all_groups() -> None:
    assert groups.of_dimensions("t", 0.5, (2, 1)).tolist() == [0.5] * 3
    assert groups.of_dimensions("t", (1, 2), (2, 1)).tolist() == [1, 1, 2]
    with pytest.raises(ValueError, match="must be one value or 2, one for"):
        groups.of_dimensions("moves", (1, 2, 3), (2, 1))
    for wrong in (-1.0, float("nan"), (1.0, float("inf"))):
        with pytest.raises(ValueError, match="must be finite and 0 or more"):
            groups.of_dimensions("temperature", wrong, (2, 1))


def test_the_most_used_dimensions_have_a_share_of_each_group() -> None:
    values = [5.0, 9.0, 7.0, 8.0, 0.1, 0.2, 0.3]
    found = groups.most_used(values, (4, 2, 1), 5)
    assert found.tolist() == [1, 3, 5, 4, 6]
    assert groups.most_used(values, (4, 2, 1), 4).tolist() == [1, 3, 5, 6]
    assert groups.most_used(values, (7,), 3).tolist() == [1, 3, 2]
    assert groups.most_used(values, (4, 2, 1), 99).tolist() == [1, 3, 2, 0, 5, 4, 6]

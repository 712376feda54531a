import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae.distributions.student_t import StudentT

DEGREES = [0.3, 1.0, 4.0, 30.0, 1e6]


def made(degrees: float) -> StudentT:
    return StudentT(jnp.float32([0.5]), jnp.float32(0.25), degrees)


@pytest.mark.parametrize("degrees", DEGREES)
def test_densities_agree_with_scipy_to_far_outliers(degrees: float) -> None:
    value = np.float32([-1e9, -300, -1, 0.4, 0.5, 0.6, 2, 1e4, 1e15])[:, None]
    expected = stats.t(degrees, 0.5, 0.25).logpdf(value)
    near = value < 1e4 if degrees == 1e6 else value < 1e20  # there scipy overflows
    got = made(degrees).log_prob(value)
    np.testing.assert_allclose(got[near], expected[near], rtol=2e-5, atol=1e-6)
    slope = jax.vmap(jax.grad(lambda x: made(degrees).log_prob(x[None]).sum()))
    assert np.isfinite(got).all() and np.isfinite(slope(value[:, 0])).all()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("degrees", DEGREES[1:])
def test_densities_integrate_to_one(degrees: float) -> None:
    """By Gauss-Legendre over x = loc + scale tan(angle), whose Jacobian is known."""
    nodes, weights = np.polynomial.legendre.leggauss(2_000)
    angle = nodes * np.pi / 2
    value = np.float32(0.5 + 0.25 * np.tan(angle))[:, None]
    density = np.exp(np.asarray(made(degrees).log_prob(value), float))[:, 0]
    jacobian = 0.25 * np.pi / 2 / np.cos(angle) ** 2
    np.testing.assert_allclose((weights * density * jacobian).sum(), 1, rtol=1e-4)


def test_draws_have_the_quantiles() -> None:
    draws = np.asarray(made(4.0).sample(jax.random.key(0), (20_000,)))
    assert draws.shape == (20_000, 1)
    for share in (0.01, 0.25, 0.5, 0.9, 0.999):
        below = (draws < stats.t(4, 0.5, 0.25).ppf(share)).mean()
        assert abs(below - share) < 5 * np.sqrt(share * (1 - share) / 20_000)
    assert made(4.0).mean == 0.5


def test_the_variance_is_scipys() -> None:
    for degrees, expected in ((4.0, stats.t(4, 0.5, 0.25).var()), (2.0, np.inf)):
        np.testing.assert_allclose(made(degrees).variance, expected, rtol=1e-6)

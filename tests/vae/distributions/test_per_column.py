"""Independent columns of several kinds, and one-hot categories."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Normal

from vae.distributions.counts import Poisson
from vae.distributions.per_column import OneHot, PerColumn
from vae.distributions.pixels import StableBernoulli

WIDTHS = (3, 1, 2)
LOGITS = jnp.array([[0.3, -1.0, 2.0, 5.0, 0.0, 1.0], [0.0, 9.0, -9.0, 0.0, -3.0, 3.0]])


def normalised(logits: np.ndarray) -> np.ndarray:
    return np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))


def test_categories_have_the_mass_of_their_softmax() -> None:
    """And the masses of all rows sum to one."""
    made, total = OneHot(LOGITS, WIDTHS), 0.0
    for chosen in itertools.product(*map(range, WIDTHS)):
        rows = [np.eye(n)[k] for n, k in zip(WIDTHS, chosen, strict=True)]
        got = made.log_prob(jnp.float32(np.concatenate(rows)))
        blocks = np.split(np.asarray(LOGITS), np.cumsum(WIDTHS)[:-1], -1)
        expected = [normalised(b)[:, k] for b, k in zip(blocks, chosen, strict=True)]
        np.testing.assert_allclose(got.sum(-1), np.sum(expected, 0), atol=1e-5)
        total += np.exp(got.sum(-1))
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_draws_of_categories_are_one_hot_and_have_the_moments() -> None:
    made = OneHot(LOGITS, WIDTHS)
    draws = np.asarray(made.sample(jax.random.key(0), (20_000,)))
    assert draws.shape == (20_000, 2, 6)
    for block in np.split(draws, np.cumsum(WIDTHS)[:-1], -1):
        assert ((block == 0) | (block == 1)).all() and (block.sum(-1) == 1).all()
    np.testing.assert_allclose(draws.mean(0), made.mean, atol=0.015)
    np.testing.assert_allclose(draws.var(0), made.variance, atol=0.015)


def test_gradients_are_finite_at_extreme_logits() -> None:
    x = jnp.array([1.0, 0, 0, 1, 0, 1])

    def log_prob(logits: jax.Array) -> jax.Array:
        return OneHot(logits, WIDTHS).log_prob(x).sum()

    for size in (0.0, 1.0, 1e4):
        value, grad = jax.value_and_grad(log_prob)(size * LOGITS[0])
        assert np.isfinite(value) and np.isfinite(grad).all()


def test_parts_keep_their_places() -> None:
    """Terms, moments and draws are those of each part alone."""
    normal = Normal(jnp.array([[5.0, -70.0]]), jnp.array([[0.1, 2.0]]))
    bits, counts = StableBernoulli(jnp.array([[1.0]])), Poisson(jnp.array([[6.0]]))
    made = PerColumn((normal, bits, counts), ((3, 0), (2,), (1,)))
    assert (made.batch_shape, made.event_shape) == ((1, 4), ())
    x = jnp.array([[-69.0, 390.0, 1.0, 5.1]])
    of_normal = normal.log_prob(x[:, [3, 0]])
    of_counts, of_bits = counts.log_prob(x[:, [1]]), bits.log_prob(x[:, [2]])
    expected = [of_normal[0, 1], of_counts[0, 0], of_bits[0, 0], of_normal[0, 0]]
    np.testing.assert_array_equal(made.log_prob(x)[0], jnp.stack(expected))
    draws = np.asarray(made.sample(jax.random.key(0), (20_000,)))
    assert draws.shape == (20_000, 1, 4)
    error = np.abs(draws.mean(0) - made.mean) / np.sqrt(made.variance / 20_000)
    assert (error < 4).all(), error
    np.testing.assert_allclose(draws.var(0), made.variance, rtol=0.05)

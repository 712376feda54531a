from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import linear_gaussian as exact
from vae import rng
from vae.evaluation.gaps import InferenceGaps, make_inference_gaps
from vae.models import posteriors
from vae.types import Unsupported

COUNT = 100


def gaps_of(
    params: Any, positions: Any = None, model: Any = exact.MODEL, **numbers: Any
) -> InferenceGaps:
    """The gaps of images of the linear model, at these of their positions."""
    positions = np.arange(COUNT) if positions is None else np.asarray(positions)
    numbers = {
        "num_steps": 300,
        "num_samples": 8,
        "learning_rate": 0.05,
        "evaluation_samples": 300,
        **numbers,
    }
    x = exact.images(COUNT)[positions]
    keys = rng.per_example(rng.stream(0, "test"), jnp.asarray(positions))
    return jax.jit(make_inference_gaps(model, **numbers))(
        {"params": params}, x, None, keys, exact.log_prob(x)
    )


def mean_and_error(values: Any) -> tuple[float, float]:
    """The mean over images, and its standard error."""
    values = np.asarray(values, np.float64)
    return values.mean(), values.std() / np.sqrt(len(values))


def test_the_exact_posterior_has_no_gaps() -> None:
    """And no noise: each of its log-weights is log p(x), up to rounding."""
    gaps = gaps_of(exact.params())
    np.testing.assert_allclose(gaps.amortisation_gap, 0, atol=1e-4)
    np.testing.assert_allclose(gaps.approximation_gap, 0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "widening"), [(0.3, 1.0), (0.0, 2.0), (-0.2, 0.6)])
def test_a_wrong_encoder_loses_its_divergence_from_the_posterior(
    shift: float, widening: float
) -> None:
    """KL of N(m + shift, widening^2 s^2) from N(m, s^2), for both dimensions."""
    gaps = gaps_of(exact.params(shift, widening))
    precision = 1 + (exact.WEIGHTS**2).sum(0) / exact.SCALE**2
    kl = (widening**2 + shift**2 * precision - 1) / 2 - np.log(widening)
    known = kl.sum()
    got, error = mean_and_error(gaps.amortisation_gap)
    assert abs(got - known) < 4 * error + 1e-3, (got, error, known)
    assert error < 0.02 * known
    np.testing.assert_allclose(gaps.approximation_gap, 0, atol=2e-3)
    np.testing.assert_allclose(
        gaps.optimised_elbo - gaps.elbo, gaps.amortisation_gap, atol=1e-5
    )


def test_the_family_loses_the_correlation_of_the_posterior() -> None:
    """Rotated codes have the same p(x), but a posterior with correlated dimensions: of
    precision P, the best diagonal Gaussian has that of its diagonal."""
    rotation = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    weights = exact.WEIGHTS @ rotation
    params = exact.params()
    params["decoder"]["output"]["kernel"] = jnp.asarray(weights.T, jnp.float32)
    gaps = gaps_of(params, evaluation_samples=3000)
    precision = np.eye(2) + weights.T @ weights / exact.SCALE**2
    known = np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1]
    got, error = mean_and_error(gaps.approximation_gap)
    assert abs(got - known / 2) < 4 * error + 1e-3, (got, error, known / 2)


def test_without_steps_the_encoder_is_the_best() -> None:
    gaps = gaps_of(exact.params(0.3, 1.2), num_steps=1, learning_rate=0.0)
    np.testing.assert_allclose(gaps.amortisation_gap, 0, atol=1e-5)
    gap = exact.log_prob(exact.images(COUNT)) - gaps.elbo
    np.testing.assert_allclose(gaps.approximation_gap, gap, atol=1e-4)


@pytest.mark.slow
def test_an_image_depends_neither_on_its_batch_nor_on_the_optimiser() -> None:
    params, order = exact.params(0.3, 1.2), [7, 3]
    whole = gaps_of(params, num_steps=20)
    part = gaps_of(params, order, num_steps=20)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[np.array(order)], b, atol=1e-4),
        whole,
        part,
    )
    other = gaps_of(params, order, num_steps=5, num_samples=3)
    np.testing.assert_allclose(other.elbo, part.elbo, atol=1e-5)


def test_other_posteriors_are_refused() -> None:
    model = exact.MODEL.clone(posterior=posteriors.FullGaussian(exact.LATENT_DIM))
    keys = rng.per_example(rng.stream(0, "test"), jnp.arange(2))
    variables = jax.jit(model.init)(jax.random.key(0), exact.images(2), keys)
    with pytest.raises(Unsupported, match="diagonal Gaussian"):
        gaps_of(variables["params"], model=model)

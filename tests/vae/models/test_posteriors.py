from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.vae.nn.test_flows import points, random_variables
from vae import rng
from vae.distributions.padded import restrict
from vae.distributions.reparameterization import sample_and_log_prob
from vae.models import posteriors
from vae.models.base import CODES, SPHERE
from vae.types import Unsupported

DIM, CLASSES, FEATURES = 3, 4, points(3, 6)


class Case(NamedTuple):
    posterior: Any
    code_dim: int = DIM


CASES = {
    "diagonal_gaussian": Case(posteriors.DiagonalGaussian(DIM)),
    "full_gaussian": Case(posteriors.FullGaussian(DIM)),
    "planar_flow": Case(posteriors.planar_flow(latent_dim=DIM)),
    "iaf": Case(posteriors.iaf(latent_dim=DIM, widths=(5,))),
    "coupling_flow": Case(posteriors.coupling_flow(latent_dim=DIM, widths=(5,))),
    "von_mises_fisher": Case(posteriors.VonMisesFisher(DIM)),
    "relaxed_categorical": Case(
        posteriors.RelaxedCategorical(DIM, CLASSES, 0.5), DIM * CLASSES
    ),
    "vector_quantized": Case(posteriors.VectorQuantized(DIM, CLASSES, 2), DIM * 2),
}


def keys(samples: int, examples: int, seed: int = 0) -> jax.Array:
    per_example = rng.per_example(jax.random.key(seed), jnp.arange(examples))
    return rng.per_sample(per_example, jnp.arange(samples))


def distribution(posterior: nn.Module, features: jax.Array) -> Any:
    variables = random_variables(posterior, FEATURES, scale=0.4)
    return posterior.apply(variables, features)


@lru_cache
def draws() -> Any:
    """Draws from all posteriors, whose noise is then compiled once: it takes the time
    of these tests. Beside them, draws where all but 2 samples of 2 examples differ."""

    @jax.jit
    def draw(features, keys):
        drawn = {}
        for name, (posterior, _) in CASES.items():
            q = distribution(posterior, features)
            drawn[name] = [sample_and_log_prob(q, keys)]
            if name == "relaxed_categorical":
                drawn[name].append(sample_and_log_prob(q, keys, train=True))
            if name != "planar_flow":
                drawn[name] = [(*pair, q.log_prob(pair[0])) for pair in drawn[name]]
        return drawn

    others = keys(5, 3, seed=1).at[:2, :2].set(keys(2, 2))
    return draw(FEATURES, keys(5, 3)), draw(FEATURES.at[2].add(1), others)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_samples_have_their_own_keys_and_densities(name: str) -> None:
    code_dim = CASES[name].code_dim
    assert CASES[name].posterior.code_dim == code_dim
    pairs = zip(*(drawn[name] for drawn in draws()), strict=True)
    for (z, log_q, *given), (other_z, other_log_q, *_) in pairs:
        assert z.shape == (5, 3, code_dim) and log_q.shape == (5, 3)
        for log_prob in given:  # rounding, and the way there and back of a flow
            np.testing.assert_allclose(log_q, log_prob, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(z[:2, :2], other_z[:2, :2])
        np.testing.assert_array_equal(log_q[:2, :2], other_log_q[:2, :2])
        if name != "vector_quantized":  # nothing is random
            assert (z[2:, :2] != other_z[2:, :2]).any()


@pytest.mark.parametrize("name", CASES)
def test_samples_live_in_the_space(name: str) -> None:
    (z, *_), *_ = draws()[0][name]
    posterior, code_dim = CASES[name]
    is_on_sphere = np.allclose(np.linalg.norm(z, axis=-1), 1, atol=1e-5)
    assert is_on_sphere == (posterior.space == SPHERE)
    at_positions = np.asarray(z).reshape(-1, code_dim // DIM)
    is_discrete = len(np.unique(at_positions, axis=0)) <= CLASSES
    assert is_discrete == (posterior.space == CODES)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", CASES)
def test_what_can_be_padded_is_what_can_be_restricted(name: str) -> None:
    posterior, _ = CASES[name]
    q = distribution(posterior, FEATURES)
    if posterior.can_pad:
        assert restrict(q, jnp.int32(2)).batch_shape == q.batch_shape
        return
    with pytest.raises(TypeError, match="cannot be padded"):
        restrict(q, jnp.int32(2))


def test_a_sphere_of_two_points_is_refused() -> None:
    with pytest.raises(Unsupported, match="needs two latent dimensions"):
        posteriors.VonMisesFisher(1).init(jax.random.key(0), FEATURES)


def test_full_gaussian_has_the_covariance_of_its_triangle() -> None:
    count = 10_000

    @jax.jit
    def draw(keys):
        q = distribution(CASES["full_gaussian"].posterior, FEATURES)
        return q.scale_tril, sample_and_log_prob(q, keys)[0] - q.loc

    tril, centred = (np.asarray(a, np.float64) for a in draw(keys(count, 3)))
    np.testing.assert_array_equal(tril, np.tril(tril))
    assert (np.diagonal(tril, axis1=1, axis2=2) > 0).all()
    products = centred[..., :, None] * centred[..., None, :]
    for draws, expected in ((centred, 0), (products, tril @ tril.swapaxes(1, 2))):
        error = draws.std(0) / np.sqrt(count)
        assert (np.abs(draws.mean(0) - expected) < 5 * error).all()


@pytest.mark.parametrize(
    ("scale", "layer", "expected"),
    [
        (posteriors.exp, "log_variance", [np.exp(-5), np.exp(0.25), np.exp(5)]),
        (posteriors.bounded_exp, "log_variance", [np.exp(-3), np.exp(0.25), np.exp(1)]),
        (nn.softplus, "raw_scale", np.log1p(np.exp([-10, 0.5, 10]))),
    ],
)
def test_standard_deviations(scale: Any, layer: str, expected: Any) -> None:
    posterior: Any = posteriors.DiagonalGaussian(DIM, scale=scale)
    params = posterior.init(jax.random.key(0), FEATURES)["params"]
    bias = jnp.array([-10.0, 0.5, 10.0])
    params[layer] = {"kernel": jnp.zeros_like(params[layer]["kernel"]), "bias": bias}
    found = posterior.apply({"params": params}, FEATURES).base_dist.scale
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)

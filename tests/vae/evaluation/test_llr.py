"""L^{>k} of the model with two groups whose every density is known."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.vae.models import test_top_down as deep
from tests.vae.models.test_hierarchy import (
    KINDS,
    NOISE_1,
    A,
    B,
    D,
    N,
    S,
    W,
    exact,
    examples,
    model,
)
from vae import rng
from vae.distributions.ancestral import split_groups
from vae.evaluation.bounds import make_importance_bound
from vae.evaluation.llr import make_bounds_above
from vae.models.hierarchy import Ladder

LOG_2PI = np.log(2 * np.pi)


def bounds_above(
    own: Any, params: Any, x: np.ndarray, num_samples: int, ks: Any, **kwargs: Any
) -> np.ndarray:
    keys = rng.per_example(jax.random.key(0), jnp.arange(len(x)))
    compute = jax.jit(make_bounds_above(own, num_samples, ks, **kwargs))
    return np.asarray(compute({"params": params}, x, None, keys))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_above_no_group_it_is_the_bound_and_pieces_do_not_matter(kind: Any) -> None:
    own, x, params = model(kind), examples(5), exact(kind)
    params["posteriors_0"]["log_variance"]["bias"] += 1.0  # so that samples matter
    keys = rng.per_example(jax.random.key(0), jnp.arange(5))
    bound = jax.jit(make_importance_bound(own, 7))({"params": params}, x, None, keys)
    whole = bounds_above(own, params, x, 7, (0, 1))
    np.testing.assert_allclose(whole[:, 0], bound.log_likelihood, rtol=1e-5)
    pieces = bounds_above(own, params, x, 7, (0, 1), rows=10)
    np.testing.assert_allclose(pieces, whole, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_of_the_exact_posterior_it_is_known(kind: Any) -> None:
    """E log p(x | z_1) + log p(z_2) - log q(z_2 | ...), with one sample."""
    (x,), count = examples(1), 20_000
    copies = np.tile(x, (count, 1))
    found = bounds_above(model(kind), exact(kind), copies, 1, (1,), rows=count)[:, 0]
    variance = 1 / (1 + A**2 / (S**2 + NOISE_1))  # of p(z_2 | x)
    residual = W @ (x - D) / (W @ W) - B
    mean = variance * A / (S**2 + NOISE_1) * residual
    spread = A**2 * variance + S**2  # of z_1, redrawn
    error = x - D - W * (A * mean + B)
    log_likelihood = -1.5 * (LOG_2PI + 2 * np.log(N))
    log_likelihood -= (error @ error + W @ W * spread) / (2 * N**2)
    log_prior = -0.5 * (LOG_2PI + mean**2 + variance)
    # That of q(z_2 | x), or of q(z_2 | z_1) where z_2 is inferred from below.
    of_q = variance if kind is Ladder else 1 / (1 + A**2 / S**2)
    entropy = 0.5 * (LOG_2PI + 1 + np.log(of_q))
    standard_error = found.std() / count**0.5
    expected = log_likelihood + log_prior + entropy
    assert abs(found.mean() - expected) < 4 * standard_error < 0.2


def test_a_lowest_group_that_is_not_used_tells_nothing() -> None:
    """Its posterior is its prior, and the decoder does not look at it."""
    params = exact(Ladder)
    params["posterior"]["log_variance"]["bias"] += 50.0
    params["decoder"]["output"]["kernel"] *= 0.0
    found = bounds_above(model(Ladder), params, examples(6), 5, (0, 1))
    np.testing.assert_allclose(found[:, 0] - found[:, 1], 0, atol=1e-4)
    assert np.ptp(found[:, 0]) > 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_of_three_groups_those_above_count(kind: Any) -> None:
    """The decoder looks at none: what is left is log p - log q of the groups above."""
    two, count = model(kind), 4
    own = two.clone(
        rises=two.rises * 2,
        posteriors=two.posteriors * 2,
        generators=two.generators * 2,
    )
    x, sizes = examples(count), own.group_sizes
    keys = rng.per_example(jax.random.key(0), jnp.arange(count))
    params = own.init(jax.random.key(1), x, keys)["params"]
    params["decoder"]["output"]["kernel"] *= 0.0
    inference: Any = own.apply({"params": params}, x, keys)
    log_likelihood = inference.likelihood.log_prob(x)
    ratios = [g.prior.log_prob(g.z) - g.log_q for g in inference.groups]
    expected = [log_likelihood[0] + sum(r[0] for r in ratios[k:]) for k in range(3)]
    found = bounds_above(own, params, x, 1, range(3))
    assert len(sizes) == 3
    np.testing.assert_allclose(found.T, expected, rtol=1e-4)


@pytest.mark.slow
def test_groups_that_depend_on_all_above() -> None:
    """Each redrawn group is given all above it; above none, it is the bound again."""
    own, keys, sizes = deep.OWN, deep.KEYS, deep.OWN.group_sizes
    params = deep.draw_params()
    variables, ks = {"params": params}, range(len(sizes))
    found = bounds_above(own, params, deep.X, 3, ks)
    bound = jax.jit(make_importance_bound(own, 3))
    expected = bound(variables, deep.X, None, keys).log_likelihood
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4)
    # The two lowest are redrawn one after the other, with the same noise.
    samples, k = jnp.arange(3), 2

    @jax.jit
    def redraw(variables: Any) -> jax.Array:
        prior: Any = own.apply(variables, method="prior_of")
        encoded = own.apply(variables, deep.X, method="encode")
        given = encoded, rng.per_sample(keys, samples)
        groups = own.apply(variables, *given, method="infer").groups
        noise = rng.per_sample(rng.each_named(keys, "redrawn"), samples)
        new = split_groups(rng.normal(noise, sum(sizes), jnp.float32), sizes)

        def choose(group: int, given: Any) -> tuple[jax.Array, jax.Array]:
            z = groups[group].z
            if group < k:
                z = given.base_dist.loc + given.base_dist.scale * new[group]
            return z, z

        codes = jnp.concatenate(prior.descend((3, len(deep.X)), choose), -1)
        decoded: Any = own.apply(variables, codes, method="decode")
        ratios = [g.prior.log_prob(g.z) - g.log_q for g in groups[k:]]
        weights = decoded.log_prob(deep.X) + sum(ratios)
        return jax.nn.logsumexp(weights, axis=0) - jnp.log(3)

    np.testing.assert_allclose(found[:, k], redraw(variables), rtol=1e-4)
    assert np.isfinite(found).all()

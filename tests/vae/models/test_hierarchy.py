"""Two groups whose every density is known: z_2 ~ N(0, 1), z_1 ~ N(A z_2 + B, S^2) and
x ~ N(W z_1 + D, N^2 I)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from numpyro.distributions import Independent, Normal
from scipy import stats

from vae import rng
from vae.models.hierarchy import Chain, Generator, Hierarchy, Ladder, combine
from vae.models.likelihoods import Gaussian
from vae.models.posteriors import DiagonalGaussian, FullGaussian
from vae.models.priors import StandardNormal
from vae.models.vae import VAE
from vae.nn.decoders import MLPDecoder
from vae.nn.encoders import MLPEncoder
from vae.nn.layers import MLP
from vae.objectives import elbo, importance
from vae.objectives.base import elbo_terms, make_penalized
from vae.types import Batch, Unsupported

A, B, S, N = 0.8, 0.3, 0.6, 0.5
W, D = np.array([1.0, -0.5, 0.7]), np.array([0.1, 0.2, -0.3])
VARIANCE_1 = A**2 + S**2  # of z_1
NOISE_1 = N**2 / (W @ W)  # of the least-squares estimate of z_1
KINDS = {"chain": Chain, "ladder": Ladder}


def model(kind: type[Hierarchy]) -> Hierarchy:
    return kind(
        encoder=MLPEncoder((), nn.relu),
        posterior=DiagonalGaussian(1),
        prior=StandardNormal(1),
        decoder=MLPDecoder((3,), (), nn.relu),
        likelihood=Gaussian(N),
        rises=(MLP((), nn.relu),),
        posteriors=(DiagonalGaussian(1),),
        generators=(Generator(MLP((), nn.relu), DiagonalGaussian(1)),),
    )


def gaussian(weights: Any, bias: float, variance: float) -> Any:
    """Parameters of N(weights x + bias, variance)."""
    kernel = np.reshape(weights, (-1, 1))
    return {
        "mean": {"kernel": kernel, "bias": np.array([bias])},
        "log_variance": {
            "kernel": np.zeros_like(kernel),
            "bias": np.log([variance]),
        },
    }


def exact(kind: type[Hierarchy]) -> Any:
    """Parameters of the model, with the exact posterior."""
    estimate = W / (W @ W)  # of z_1, by x - D
    if kind is Chain:
        precision = 1 / VARIANCE_1 + 1 / NOISE_1
        slope = estimate / NOISE_1 / precision
        bias = B / VARIANCE_1 / precision - slope @ D
        lower = gaussian(slope, bias, 1 / precision)
        precision = 1 + A**2 / S**2
        slope = A / S**2 / precision
        upper = gaussian(slope, -slope * B, 1 / precision)
    else:
        lower = gaussian(estimate, -estimate @ D, NOISE_1)
        precision = 1 + A**2 / (S**2 + NOISE_1)
        slope = A / (S**2 + NOISE_1) / precision * estimate
        bias = -A * B / (S**2 + NOISE_1) / precision - slope @ D
        upper = gaussian(slope, bias, 1 / precision)
    params = {
        "posterior": lower,
        "posteriors_0": upper,
        "generators_0": {"gaussian": gaussian(A, B, S**2)},
        "decoder": {"output": {"kernel": W[None], "bias": D}},
    }
    return jax.tree.map(jnp.float32, params)


def examples(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    z_1 = A * random.normal(size=count) + B + S * random.normal(size=count)
    x = z_1[:, None] * W + D + N * random.normal(size=(count, 3))
    return x.astype(np.float32)


def run(own: VAE, params: Any, x: np.ndarray, num_samples: int) -> Any:
    keys = rng.per_example(jax.random.key(0), jnp.arange(len(x)))
    return own.apply({"params": params}, x, keys, num_samples=num_samples, train=True)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_bound_is_log_p_at_the_exact_posterior(kind: type[Hierarchy]) -> None:
    x = examples(5)
    found = run(model(kind), exact(kind), x, 7)
    covariance = VARIANCE_1 * np.outer(W, W) + N**2 * np.eye(3)
    log_prob = stats.multivariate_normal(W * B + D, covariance).logpdf(x)
    terms = elbo_terms(found, x)
    expected = np.broadcast_to(log_prob, (7, 5))
    np.testing.assert_allclose(terms.log_weights, expected, rtol=2e-5)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_elbo_is_log_p_at_the_exact_posterior(kind: type[Hierarchy]) -> None:
    """In the mean: its rates are in closed form where they have one."""
    x, own, count = examples(1), model(kind), 20_000
    found = run(own, exact(kind), x, count)
    terms = elbo_terms(found, x)
    elbos = -np.asarray(terms.distortion + terms.rate)[:, 0]
    error = elbos.std() / count**0.5
    (log_prob,) = np.asarray(terms.log_weights)[0]
    assert abs(elbos.mean() - log_prob) < 5 * error
    # Of a group whose rate is no divergence, single terms are below zero.
    lowest = np.asarray(terms.rate_per_group).min((1, 2))
    np.testing.assert_array_equal(lowest >= 0, own.rates_are_divergences)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_joint_prior_is_the_product_of_the_groups(kind: type[Hierarchy]) -> None:
    params, own = exact(kind), model(kind)
    found = run(own, params, examples(5), 3)
    prior: Any = own.apply({"params": params}, method="prior_of")
    of_groups = sum(group.prior.log_prob(group.z) for group in found.groups)
    np.testing.assert_allclose(prior.log_prob(found.codes), of_groups, rtol=1e-6)
    assert own.code_dim == 2 and own.group_sizes == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_without_the_score_no_gradient_is_left(kind: type[Hierarchy]) -> None:
    """Sticking the landing: at the exact posterior the gradient by what only q has is
    zero for every sample. That of the ELBO is not, nor would it be if the parameters of
    each group were held with the codes of the other group in them."""
    own, x = model(kind), examples(3)
    inferring = [name for name in own.inference_parts if name in exact(kind)]

    def gradient(bound: Any) -> float:
        def loss(q: Any) -> jax.Array:
            found = run(own, exact(kind) | q, x, 2)
            return bound(found, elbo_terms(found, x))

        q = {name: exact(kind)[name] for name in inferring}
        leaves = jax.tree.leaves(jax.grad(loss)(q))
        return max(float(jnp.abs(leaf).max()) for leaf in leaves)

    assert len(inferring) == 2
    assert gradient(importance.sticking_the_landing) < 1e-4
    assert gradient(importance.iwae) > 1e-2


@pytest.mark.slow
def test_the_bound_rises_with_the_number_of_samples() -> None:
    """Of posteriors that are too wide; the first samples are the same."""
    params = exact(Chain)
    for part in ("posterior", "posteriors_0"):
        bias = params[part]["log_variance"]["bias"]
        params[part]["log_variance"]["bias"] = bias + 1.0
    x = examples(2_000)
    bounds = [
        np.asarray(importance._log_mean_exp(elbo_terms(found, x).log_weights))
        for found in (run(model(Chain), params, x, k) for k in (1, 5, 50))
    ]
    for fewer, more in zip(bounds, bounds[1:], strict=False):
        gain = more - fewer
        assert gain.mean() > 5 * gain.std() / len(x) ** 0.5


def test_precisions_add() -> None:
    z = np.linspace(-20, 20, 4_001)
    a, b = stats.norm(1.0, 0.5), stats.norm(-2.0, 1.5)
    product = a.pdf(z) * b.pdf(z)
    product /= product.sum() * (z[1] - z[0])
    pair = [
        Independent(Normal(jnp.full(1, d.mean()), jnp.full(1, d.std())), 1)
        for d in (a, b)
    ]
    found = np.exp(combine(*pair).log_prob(jnp.asarray(z)[:, None]))
    np.testing.assert_allclose(found, product, atol=1e-5)


def test_a_product_with_a_very_wide_gaussian_is_the_other() -> None:
    """Its squared scale overflows in float32."""

    @jax.jit
    @jax.value_and_grad
    def log_prob(log_scale: jax.Array, wide_first: bool) -> jax.Array:
        wide = Independent(Normal(jnp.full(1, 3.0), jnp.exp(log_scale)), 1)
        narrow = Independent(Normal(jnp.zeros(1), 1.0), 1)
        pair = (wide, narrow), (narrow, wide)
        both = [combine(*each).log_prob(jnp.ones(1)) for each in pair]
        return jnp.where(wide_first, *both)

    for wide_first in (True, False):
        found, slope = log_prob(jnp.float32(60.0), wide_first)
        np.testing.assert_allclose(found, -0.5 * np.log(2 * np.pi) - 0.5, rtol=1e-6)
        assert slope == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_without_upper_groups_it_is_the_vae(kind: type[Hierarchy]) -> None:
    """Padded, too: three of its four dimensions are in use."""
    parts = {
        "encoder": MLPEncoder((8,), nn.tanh),
        "posterior": DiagonalGaussian(4),
        "prior": StandardNormal(4),
        "decoder": MLPDecoder((3,), (8,), nn.tanh),
        "likelihood": Gaussian(N),
    }
    x = examples(6)
    batch = Batch(jnp.asarray(x), None, jnp.arange(6))
    keys = rng.per_example(jax.random.key(2), batch.position)

    def loss_and_gradient(own: VAE) -> Any:
        params = own.init(jax.random.key(1), x, keys)["params"]
        objective = make_penalized(own, elbo.elbo)

        def loss(params: Any) -> jax.Array:
            state, key = {"model": params, "objective": {}}, jax.random.key(3)
            size = {"latent_dim": jnp.int32(3)}
            return objective.loss(state, batch, key, size, jnp.zeros((), int))[0]

        return jax.value_and_grad(loss)(params)

    jax.tree.map(
        np.testing.assert_array_equal,
        loss_and_gradient(kind(**parts)),
        loss_and_gradient(VAE(**parts)),
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_three_groups_of_other_sizes(kind: type[Hierarchy]) -> None:
    """The parts fit, densities agree, and gradients reach every part."""

    def layers(width: int) -> MLP:
        return MLP((width,), nn.tanh)

    own = kind(
        encoder=MLPEncoder((8,), nn.tanh),
        posterior=DiagonalGaussian(4),
        prior=StandardNormal(2),
        decoder=MLPDecoder((3,), (8,), nn.tanh),
        likelihood=Gaussian(N),
        rises=(layers(6), layers(5)),
        posteriors=(DiagonalGaussian(3), DiagonalGaussian(2)),
        generators=(
            Generator(layers(6), DiagonalGaussian(4)),
            Generator(layers(5), DiagonalGaussian(3)),
        ),
    )
    x, keys = examples(6), rng.per_example(jax.random.key(2), jnp.arange(6))
    params = own.init(jax.random.key(1), x, keys)["params"]
    found = run(own, params, x, 2)
    assert [group.z.shape[-1] for group in found.groups] == [4, 3, 2]
    prior: Any = own.apply({"params": params}, method="prior_of")
    of_groups = sum(group.prior.log_prob(group.z) for group in found.groups)
    np.testing.assert_allclose(prior.log_prob(found.codes), of_groups, rtol=1e-5)

    def loss(params: Any) -> jax.Array:
        terms = elbo_terms(run(own, params, x, 2), x)
        return (terms.distortion + terms.rate).mean()

    gradients = jax.grad(loss)(params)
    assert gradients.keys() == {*own.inference_parts, "decoder"} | {
        f"generators_{i}" for i in range(2)
    }
    for leaf in jax.tree.leaves(gradients):
        assert leaf.any()


def test_groups_are_diagonal_gaussians() -> None:
    with pytest.raises(Unsupported, match="^the posterior is not a diagonal Gaussian"):
        model(Chain).clone(posteriors=(FullGaussian(1),))
    generators = (Generator(MLP((), nn.relu), FullGaussian(1)),)
    with pytest.raises(Unsupported, match="is not a diagonal Gaussian"):
        model(Ladder).clone(generators=generators)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_upper_modules_fit_each_other(kind: type[Hierarchy]) -> None:
    whole = model(kind)
    for changes in ({"rises": ()}, {"generators": ()}, {"posteriors": ()}):
        with pytest.raises(Unsupported, match="needs a rise and a generator for each"):
            whole.clone(**changes)
    generators = (Generator(MLP((), nn.relu), DiagonalGaussian(2)),)
    with pytest.raises(Unsupported, match=r"generators of \[1\] dim.*, not \[2\]"):
        whole.clone(generators=generators)

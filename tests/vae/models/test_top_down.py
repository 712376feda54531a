from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.architectures import num_parameters
from vae import rng
from vae.models.likelihoods import Bernoulli
from vae.models.posteriors import DiagonalGaussian, FullGaussian
from vae.models.priors import GaussianMixture, StandardNormal
from vae.models.rgb import MixtureOfDiscretizedLogisticsRGB
from vae.models.top_down import TopDown, top_down
from vae.nn.decoders import MLPDecoder
from vae.nn.top_down import BottomUpEncoder, TopDownDecoder
from vae.objectives import importance
from vae.objectives.base import elbo_terms
from vae.types import Inference, Unsupported

CHANNELS, SAMPLES = 2, 3
PARTS = {
    "encoder": BottomUpEncoder("4x1,4d2,2d2,1x1", 8),
    "posterior": DiagonalGaussian(CHANNELS),
    "prior": GaussianMixture(CHANNELS, 3),
    "decoder": TopDownDecoder((4, 4, 1), "1x1,2m1,4m2,4x1", 6),
    "likelihood": Bernoulli(),
}
# Of the paper, with its numbers of parameters: of its README, in millions.
CIFAR_10 = (
    "32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3",
    "1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21",
    384,
    39,
)
IMAGENET_32 = (
    "32x15,32d2,16x9,16d2,8x8,8d2,4x6,4d4,1x6",
    "1x2,4m1,4x4,8m4,8x9,16m8,16x19,32m16,32x40",
    512,
    119,
)


def make(**changes: Any) -> TopDown:
    return top_down(parts=PARTS | changes, upper_posteriors=(), dtype=jnp.float32)


OWN = make()
X = np.random.default_rng(0).integers(0, 2, (5, 4, 4, 1)).astype(np.float32)
KEYS = rng.per_example(jax.random.key(0), jnp.arange(5))


@pytest.fixture(scope="module")
def params() -> Any:
    return draw_params()


def draw_params() -> Any:
    """Drawn, and moved, so that no prior is that of the start."""
    drawn = jax.jit(OWN.init)(jax.random.key(1), X, KEYS)["params"]
    leaves, tree = jax.tree.flatten(drawn)
    random = np.random.default_rng(1)
    moved = [leaf + 0.3 * random.normal(size=leaf.shape) for leaf in leaves]
    return jax.tree.unflatten(tree, [jnp.float32(leaf) for leaf in moved])


@jax.jit
def infer(params: Any) -> Inference:
    given = {"params": params}, X, KEYS
    return OWN.apply(*given, num_samples=SAMPLES, train=True)


@pytest.mark.slow
def test_the_bound_is_that_of_the_joint_densities(params: Any) -> None:
    """log p(x, z) - log q(z | x) by the groups, and by densities of all codes; what
    comes back from `decode` is p(x | z)."""

    @jax.jit
    def jointly(params: Any, codes: jax.Array) -> Any:
        variables = {"params": params}
        prior: Any = OWN.apply(variables, method="prior_of")
        encoded = OWN.apply(variables, X, method="encode")
        log_q = OWN.apply(variables, encoded, codes, method="log_q")
        likelihood: Any = OWN.apply(variables, codes, method="decode")
        return prior.log_prob(codes), log_q, likelihood.log_prob(X)

    found = infer(params)
    terms = elbo_terms(found, X)
    log_prior, log_q, log_likelihood = jointly(params, found.codes)
    expected = log_likelihood + log_prior - log_q
    np.testing.assert_allclose(terms.log_weights, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(terms.distortion, -log_likelihood, rtol=1e-5)
    np.testing.assert_allclose(found.aux["frozen_log_q"], log_q, rtol=1e-5)
    assert [g.z.shape for g in found.groups] == [(3, 5, d) for d in OWN.group_sizes]
    assert OWN.group_sizes == (32, 32, 8, 2) and OWN.code_dim == found.codes.shape[-1]


@pytest.mark.slow
def test_rates_are_divergences_and_estimated_without_bias(params: Any) -> None:
    """In closed form, given the groups above: of the same mean as log q - log p."""
    count = 2_000

    @jax.jit
    def rates(params: Any) -> Any:
        own = {"params": params}
        found = OWN.apply(own, X[:1], KEYS[:1], num_samples=count, train=True)
        terms = elbo_terms(found, X[:1])
        sampled = [g.log_q - g.prior.log_prob(g.z) for g in found.groups]
        return terms.rate_per_group, jnp.stack(sampled)

    closed, sampled = (np.asarray(each)[..., 0] for each in rates(params))
    *lower, _ = closed  # the highest has no closed form, as its prior is a mixture
    assert (np.array(lower) >= 0).all() and all(OWN.rates_are_divergences)
    difference = closed - sampled
    error = difference.std(1) / count**0.5
    assert (np.abs(difference.mean(1)) <= 5 * error).all()


@pytest.mark.slow
def test_samples_of_the_prior_are_those_that_it_scores(params: Any) -> None:
    """Codes drawn group by group; E exp(log r - log p) of a density r is 1. Given the
    groups above, each code less its mean, in standard deviations, is standard normal.
    """
    prior: Any = OWN.apply({"params": params}, method="prior_of")
    count, lower = 4_000, OWN.code_dim - CHANNELS  # the top is a mixture
    z = jax.jit(lambda key: prior.sample(key, (count,)))(jax.random.key(3))
    assert z.shape == (count, OWN.code_dim)
    noise = np.asarray(jax.jit(prior.to_noise)(z))[:, :lower]
    np.testing.assert_allclose(noise.mean(0), 0, atol=5 / count**0.5)
    error = 5 * (2 / count) ** 0.5
    np.testing.assert_allclose(np.cov(noise.T), np.eye(lower), atol=error)
    log_p = jax.jit(prior.log_prob)(z)
    # r moves the lowest group a little, by its conditional Gaussian's own scale.
    shift = jnp.zeros(OWN.code_dim).at[0].set(0.1)
    ratio = np.exp(jax.jit(prior.log_prob)(z + shift) - log_p)
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / len(z) ** 0.5
    drawn: Any = OWN.apply({"params": params}, jax.random.key(0), 2, method="generate")
    assert drawn.mean.shape == (2, 4, 4, 1)
    assert prior.sample(jax.random.key(3)).shape == (OWN.code_dim,)


@pytest.mark.slow
def test_a_sample_does_not_depend_on_how_many_are_drawn(params: Any) -> None:
    @jax.jit
    def second(params: Any) -> Any:
        keys = rng.per_sample(KEYS, jnp.arange(1, 2))
        encoded = OWN.apply({"params": params}, X, method="encode")
        return OWN.apply({"params": params}, encoded, keys, method="infer").codes[0]

    found = infer(params).codes[1]
    np.testing.assert_allclose(second(params), found, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_gradients_reach_every_part_and_no_score_is_left(params: Any) -> None:
    """Sticking the landing: in the heads of q it lacks the score, and nothing else."""
    z = infer(params).codes

    def plain(params: Any) -> jax.Array:
        return elbo_terms(infer(params), X).log_weights.mean()

    def landing(params: Any) -> jax.Array:
        found = infer(params)
        return importance.sticking_the_landing(found, elbo_terms(found, X))

    def log_q(params: Any) -> jax.Array:
        own = {"params": params}
        encoded = OWN.apply(own, X, method="encode")
        log_prob: Any = OWN.apply(own, encoded, z, method="log_q")
        return log_prob.mean()

    whole, without, score = (
        jax.jit(jax.grad(of))(params) for of in (plain, landing, log_q)
    )
    for name in OWN.inference_parts:
        trees = (whole[name], without[name], score[name])
        for leaf, other, own in zip(*map(jax.tree.leaves, trees), strict=True):
            np.testing.assert_allclose(leaf, other - own, rtol=2e-3, atol=2e-3)
    for leaf in jax.tree.leaves(whole):
        assert leaf.any() and np.isfinite(leaf).all()


@pytest.mark.parametrize(
    "setting",
    [CIFAR_10, pytest.param(IMAGENET_32, marks=pytest.mark.slow)],
    ids=["cifar", "imagenet"],
)
def test_it_is_as_large_as_published(setting: tuple[str, str, int, int]) -> None:
    rise, fall, width, millions = setting
    likelihood = MixtureOfDiscretizedLogisticsRGB()
    own = make(
        encoder=BottomUpEncoder(rise, width),
        decoder=TopDownDecoder((32, 32, likelihood.num_features(3)), fall, width),
        posterior=DiagonalGaussian(16),
        prior=StandardNormal(16),
        likelihood=likelihood,
    )
    given = jax.random.key(0), jnp.zeros((1, 32, 32, 3)), KEYS[:1]
    variables = jax.eval_shape(own.init, *given)
    assert round(num_parameters(variables) / 1e6) == millions


@pytest.mark.parametrize(
    ("changes", "part", "message"),
    [
        ({"posterior": FullGaussian(2)}, "posterior", "is not a diagonal Gaussian"),
        ({"num_labels": 3}, "", "takes no labels"),
        ({"initializer": jax.nn.initializers.ones}, "", "initial kernels of its own"),
        ({"decoder": MLPDecoder((4, 4, 1))}, "", "needs the encoder bottom_up and"),
        (
            {"decoder": TopDownDecoder((4, 4, 1), "1x1,3m1")},
            "decoder",
            "has a block at 3x3, which the encoder does not reach",
        ),
        ({"decoder": TopDownDecoder((1, 1, 1), "1x1")}, "decoder", "has one block"),
    ],
)
def test_what_does_not_go_together_is_refused(
    changes: dict[str, Any], part: str, message: str
) -> None:
    with pytest.raises(Unsupported, match=message) as error:
        make(**changes)
    assert error.value.part == part


def test_upper_posteriors_are_refused() -> None:
    upper = [DiagonalGaussian(3)]
    with pytest.raises(Unsupported, match="a group for each block of its decoder"):
        top_down(parts=PARTS, upper_posteriors=upper, dtype=jnp.float32)

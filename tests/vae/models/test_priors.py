from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.vae.nn.test_flows import points, random_variables
from vae import rng
from vae.distributions.padded import restrict
from vae.models import priors
from vae.models.base import REALS, SPHERE
from vae.models.likelihoods import Bernoulli
from vae.models.posteriors import (
    DiagonalGaussian,
    FullGaussian,
    RelaxedCategorical,
    VectorQuantized,
    VonMisesFisher,
)
from vae.models.vae import VAE
from vae.nn import flows
from vae.nn.decoders import MLPDecoder
from vae.nn.encoders import MLPEncoder
from vae.types import Unsupported

IMAGES = np.random.default_rng(0).uniform(size=(7, 2, 2, 1)).astype(np.float32)


ENCODER = MLPEncoder((5,), nn.tanh)


def model_of(posterior: Any, prior: Any, num_labels: int | None = None) -> VAE:
    return VAE(
        encoder=ENCODER,
        posterior=posterior,
        prior=prior,
        decoder=MLPDecoder((2, 2, 1), (), nn.tanh),
        likelihood=Bernoulli(),
        num_labels=num_labels,
    )


def vamp(posterior: Any, images: np.ndarray = IMAGES) -> priors.VampPrior:
    """The prior holds the model's own encoder and posterior."""
    given = {"encoder": ENCODER, "posterior": posterior, "num_components": len(images)}
    return priors.vamp(**given, examples=lambda count: images[:count])


def vamp_model() -> VAE:
    posterior = DiagonalGaussian(2)
    return model_of(posterior, vamp(posterior))


def test_vamp_prior_of_all_images_is_the_aggregate_posterior() -> None:
    """Its pseudo-inputs are the data: KL(q(z) || p(z)) = 0."""
    model = vamp_model()
    init = jax.jit(partial(model.init, method=lambda model: model.prior()))
    params: Any = init(jax.random.key(0))["params"]
    assert {*params} == {"encoder", "posterior", "prior"}
    assert {*params["prior"]} == {"pseudo_inputs"}
    np.testing.assert_array_equal(params["prior"]["pseudo_inputs"], IMAGES)
    # narrow posteriors, far from one another
    params["posterior"]["log_variance"]["bias"] -= 4.0
    params["posterior"]["mean"]["kernel"] *= 3.0

    @jax.jit
    def densities(params):
        variables = {"params": params}
        q = model.apply(variables, IMAGES, method="encode").posterior
        p = model.apply(variables, method=lambda model: model.prior())
        z = q.mean + jnp.sqrt(q.variance) * points(4, 7, 2)
        return q.log_prob(z[..., None, :]), p.log_prob(z)  # [K, B, N], [K, B]

    of_every_image, log_p = densities(params)
    assert of_every_image.shape == (4, 7, 7) and of_every_image.std() > 1
    log_aggregate = jax.nn.logsumexp(of_every_image, -1) - np.log(7)
    # rounding: the mixture's squares are differences of products of about 1e3
    np.testing.assert_allclose(log_p, log_aggregate, rtol=1e-5, atol=2e-4)


def test_vamp_prior_trains_what_it_shares() -> None:
    model, keys = vamp_model(), rng.per_example(jax.random.key(0), jnp.arange(7))
    variables = random_variables(model, IMAGES, keys, scale=0.5)

    @jax.jit
    @jax.grad
    def slope(variables):
        prior = model.apply(variables, method=lambda model: model.prior())
        return prior.log_prob(jnp.ones(2))

    gradient = slope(variables)["params"]
    for part in ("encoder", "posterior", "prior"):
        assert all(leaf.any() for leaf in jax.tree.leaves(gradient[part])), part


def test_conditional_gaussian_is_one_gaussian_a_label() -> None:
    prior, labels = priors.ConditionalGaussian(2), jnp.eye(3)
    variables = random_variables(prior, labels)
    p = prior.apply(variables, labels)
    assert (p.batch_shape, p.event_shape) == ((3,), (2,))
    mean, log_scale = (variables["params"][n] for n in ("mean", "log_scale"))
    np.testing.assert_allclose(p.mean, mean["kernel"] + mean["bias"], rtol=1e-6)
    scale = np.exp(log_scale["kernel"] + log_scale["bias"])
    np.testing.assert_allclose(jnp.sqrt(p.variance), scale, rtol=1e-5)
    assert len({*p.log_prob(jnp.ones(2)).tolist()}) == 3


def flow_prior(depth: int, widths: tuple[int, ...] = (5,)) -> priors.FlowPrior:
    layers = [flows.Coupling(3, widths) for _ in range(depth)]
    return priors.FlowPrior(priors.StandardNormal(3), flows.Chain(layers))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2])
def test_flow_prior_starts_as_the_standard_normal(depth: int) -> None:
    prior, base = flow_prior(depth, ()), priors.StandardNormal(3)()
    p, variables = prior.init_with_output(jax.random.key(0))
    assert {*variables["params"]} == {"flow"}
    key, z = jax.random.key(1), points(4, 3)
    np.testing.assert_allclose(p.log_prob(z), base.log_prob(z), rtol=1e-6)
    direction = -1 if depth == 1 else 1  # the order of dimensions
    expected = base.sample(key, (4,))[:, ::direction]
    np.testing.assert_array_equal(p.sample(key, (4,)), expected)


def test_flow_prior_has_the_density_of_its_samples() -> None:
    prior, key = flow_prior(2), jax.random.key(1)
    variables = random_variables(prior)

    @jax.jit
    def densities():
        p = prior.apply(variables)
        z, log_prob = p.push(p.base.sample(key, (50,)))
        return z, p.sample(key, (50,)), log_prob, p.log_prob(z)

    z, sampled, expected, found = densities()
    np.testing.assert_allclose(sampled, z, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)  # inverses


def test_learned_codes_start_uniform() -> None:
    uniform, learned = priors.UniformCodes(2, 3), priors.LearnedCodes(2, 3, ())
    p, _ = learned.init_with_output(jax.random.key(0))
    codes = jnp.tile(jnp.eye(3), 2)
    np.testing.assert_allclose(uniform.apply({}).log_prob(codes), -2 * np.log(3))
    np.testing.assert_allclose(p.log_prob(codes), -2 * np.log(3), rtol=1e-6)
    embedded = VectorQuantized(2, 3, 2).wrap_prior(learned)
    p, variables = embedded.init_with_output(jax.random.key(0))
    assert {*variables["params"]} == {"codes", "posterior"}
    assert (p.batch_shape, p.event_shape) == ((), (4,))
    np.testing.assert_allclose(p.log_prob(points(5, 4)), -2 * np.log(3), rtol=1e-6)


PRIORS: dict[str, Any] = {
    "standard_normal": priors.StandardNormal(2),
    "conditional_gaussian": priors.ConditionalGaussian(2),
    "gaussian_mixture": priors.GaussianMixture(2, 3),
    "vamp": vamp(DiagonalGaussian(2)),
    "realnvp": priors.realnvp(latent_dim=2, widths=(5,)),
    "uniform_on_sphere": priors.UniformOnSphere(2),
    "uniform_codes": priors.uniform_codes(
        latent_dim=2, posterior=RelaxedCategorical(2, 3)
    ),
    "autoregressive_codes": priors.autoregressive_codes(
        latent_dim=2, posterior=VectorQuantized(2, 3, 2), widths=(4,)
    ),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", PRIORS)
def test_facts_of_priors_are_those_of_their_distributions(name: str) -> None:
    prior, labels = PRIORS[name], jnp.eye(3)
    p = prior.apply(random_variables(prior, labels), labels)
    assert prior.is_conditional == bool(p.batch_shape)
    z = p.sample(jax.random.key(0), (4,))
    is_on_sphere = np.allclose(jnp.linalg.norm(z, axis=-1), 1, atol=1e-5)
    assert is_on_sphere == (prior.space == SPHERE)
    if prior.space == REALS:  # one density for all dimensions
        swapped = p.log_prob(z[..., ::-1])
        assert np.allclose(swapped, p.log_prob(z), rtol=1e-5) == prior.factorises
    if prior.can_pad:
        assert (
            not restrict(p, jnp.int32(1)).sample(jax.random.key(0), (4,))[..., 1:].any()
        )
        return
    with pytest.raises(TypeError, match="cannot be padded"):
        restrict(p, jnp.int32(1))


def test_facts_of_models() -> None:
    model = vamp_model()
    assert model.space == REALS and model.can_pad and model.encodes_to_means
    full = model_of(FullGaussian(2), PRIORS["standard_normal"])
    assert full.space == REALS and not full.can_pad and not full.encodes_to_means
    labelled = model_of(DiagonalGaussian(2), PRIORS["standard_normal"], 3)
    assert labelled.can_pad and not labelled.encodes_to_means
    assert not model_of(DiagonalGaussian(2), PRIORS["realnvp"]).can_pad


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: model_of(VonMisesFisher(2), PRIORS["standard_normal"]),
            "is over the reals, but the posterior is over the sphere",
        ),
        (
            lambda: priors.uniform_codes(latent_dim=2, posterior=DiagonalGaussian(2)),
            "is over discrete codes, but the posterior is over the reals",
        ),
        (
            lambda: model_of(DiagonalGaussian(2), PRIORS["conditional_gaussian"]),
            "depends on the label",
        ),
        (
            lambda: model_of(FullGaussian(2), vamp(FullGaussian(2))),
            "mixes diagonal Gaussians",
        ),
        (
            lambda: model_of(DiagonalGaussian(2), vamp(DiagonalGaussian(2)), 3),
            "mixes diagonal Gaussians",
        ),
        (
            lambda: vamp(DiagonalGaussian(2), 2 * IMAGES).init(jax.random.key(0)),
            "needs pixels in",
        ),
    ],
)
def test_priors_that_do_not_go_with_the_rest_are_refused(
    make: Callable[[], Any], reason: str
) -> None:
    with pytest.raises(Unsupported, match=reason):
        make()

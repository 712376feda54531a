import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.helpers import linear_gaussian as exact
from vae import rng
from vae.evaluation import ais
from vae.evaluation.ais import make_annealed_bounds, sigmoid_schedule
from vae.models import posteriors, priors
from vae.models.likelihoods import Bernoulli
from vae.models.vae import VAE
from vae.nn import flows
from vae.nn.decoders import MLPDecoder
from vae.nn.encoders import MLPEncoder
from vae.types import Unsupported

VARIABLES = {"params": exact.params()}
COUNT = 400


def keys_of(positions: Any, seed: int = 0) -> jax.Array:
    return rng.per_example(rng.stream(seed, "test"), jnp.asarray(positions))


def chains(num_steps: int, num_chains: int = 8, model: Any = exact.MODEL):
    return make_annealed_bounds(
        model, sigmoid_schedule(num_steps), num_chains=num_chains
    )


def simulated(count: int = COUNT) -> tuple[jax.Array, jax.Array]:
    """Images of the linear model, and exact samples of their posteriors."""
    return jax.jit(chains(1).simulate)(VARIABLES, None, keys_of(jnp.arange(count)))


@functools.cache
def sandwich(num_steps: int) -> tuple[Any, Any, jax.Array]:
    """Both bounds of `simulated`, and the step sizes."""
    bounds, (x, z) = chains(num_steps, 16), simulated()

    @jax.jit
    def both(x, z, keys):
        step_sizes = bounds.tune(VARIABLES, x, None, keys)
        given = (VARIABLES, x, None, keys, step_sizes)
        return bounds.lower(*given), bounds.upper(*given, z), step_sizes

    return both(x, z, keys_of(jnp.arange(COUNT)))


def mean_and_error(values: Any) -> tuple[float, float]:
    """The mean over images, and its standard error."""
    values = np.asarray(values, np.float64)
    return values.mean(), values.std() / np.sqrt(len(values))


def test_the_schedule_rises_from_zero_to_one() -> None:
    assert sigmoid_schedule(1).tolist() == [0, 1]
    temperatures = sigmoid_schedule(100)
    assert len(temperatures) == 101
    assert temperatures[0] == 0 and temperatures[-1] == 1
    assert (np.diff(temperatures) > 0).all()
    np.testing.assert_allclose(temperatures + temperatures[::-1], 1)
    # (sigmoid(2) - sigmoid(-4)) / (sigmoid(4) - sigmoid(-4))
    np.testing.assert_allclose(temperatures[75], 0.8950064, rtol=1e-6)


@pytest.mark.parametrize("temperatures", [[0, 0.5], [0.1, 1], [0, 0.6, 0.5, 1]])
def test_other_schedules_are_refused(temperatures: list[float]) -> None:
    with pytest.raises(ValueError, match="rise from 0 to 1"):
        make_annealed_bounds(exact.MODEL, np.array(temperatures), num_chains=1)


def test_images_are_simulated_with_exact_samples_of_their_posteriors() -> None:
    x, z = (np.asarray(a, np.float64) for a in simulated(4000))
    flat = x.reshape(len(x), 4)
    covariance = exact.WEIGHTS @ exact.WEIGHTS.T + exact.SCALE**2 * np.eye(4)
    noise = flat - z @ exact.WEIGHTS.T
    for values, expected in (
        (flat[:, :, None] * flat[:, None], covariance),
        (z[:, :, None] * z[:, None], np.eye(2)),
        (noise[:, :, None] * z[:, None], 0),
    ):
        error = values.std(0) / np.sqrt(len(values))
        assert (np.abs(values.mean(0) - expected) < 4.5 * error).all()


@pytest.mark.slow
def test_the_bounds_enclose_log_p_and_meet() -> None:
    """In the mean over images, within four of its standard errors, and to .1 nats."""
    (lower, upper, _), (x, _) = sandwich(100), simulated()
    truth = exact.log_prob(np.asarray(x))
    below, below_error = mean_and_error(truth - lower.log_likelihood)
    above, above_error = mean_and_error(upper.log_likelihood - truth)
    assert below > -4 * below_error
    assert above > -4 * above_error
    gap, error = mean_and_error(upper.log_likelihood - lower.log_likelihood)
    assert gap < 0.1 - 4 * error, (gap, error)


@pytest.mark.slow
def test_more_steps_tighten_both_bounds() -> None:
    x = np.asarray(simulated()[0])
    truth = exact.log_prob(x)
    for side in (0, 1):
        gaps = [
            mean_and_error(np.abs(truth - sandwich(n)[side].log_likelihood))
            for n in (1, 8, 100)
        ]
        for (gap, error), (tighter, its_error) in zip(gaps, gaps[1:], strict=False):
            assert gap - tighter > 4 * np.hypot(error, its_error), gaps


@pytest.mark.slow
def test_chains_move_as_often_as_they_were_tuned_to() -> None:
    lower, upper, step_sizes = sandwich(100)
    assert step_sizes.shape == (99, COUNT)
    for bound in (lower, upper):
        assert abs(bound.acceptance.mean() - ais.ACCEPTANCE) < 0.1
        assert (bound.effective_sample_size >= 1).all()
        assert (bound.effective_sample_size <= 16.001).all()


def test_one_step_is_importance_sampling_from_the_prior() -> None:
    (x, _), keys = simulated(), keys_of(jnp.arange(COUNT))
    bounds = chains(1)
    step_sizes = jax.jit(bounds.tune)(VARIABLES, x, None, keys)
    assert step_sizes.shape == (0, COUNT)
    got = jax.jit(bounds.lower)(VARIABLES, x, None, keys, step_sizes)
    chain_keys = rng.fold(rng.chains(keys, "lower", 8), 0)
    z = np.asarray(ais.draw_prior(exact.MODEL, VARIABLES, None, chain_keys))
    errors = np.asarray(x).reshape(COUNT, 4) - z @ exact.WEIGHTS.T
    log_weights = -(errors**2).sum(-1) / (2 * exact.SCALE**2)
    log_weights -= 2 * np.log(2 * np.pi * exact.SCALE**2)
    expected = np.logaddexp.reduce(log_weights, axis=0) - np.log(8)
    np.testing.assert_allclose(got.log_likelihood, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_an_image_does_not_depend_on_its_batch() -> None:
    bounds, (x, z) = chains(6, num_chains=3), simulated(7)

    @jax.jit
    def all_of(x, z, keys):
        step_sizes = bounds.tune(VARIABLES, x, None, keys)
        given = (VARIABLES, x, None, keys, step_sizes)
        drawn = bounds.simulate(VARIABLES, None, keys)
        return drawn, step_sizes.T, bounds.lower(*given), bounds.upper(*given, z)

    whole = all_of(x, z, keys_of(jnp.arange(7)))
    order = np.array([5, 2])
    part = all_of(x[order], z[order], keys_of(order))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[order], b, rtol=1e-4, atol=1e-5),
        whole,
        part,
    )


DIM, SHAPE, LABELS = 3, (4, 4, 1), 2
ENCODER = MLPEncoder((6,), nn.tanh)
POSTERIOR = posteriors.DiagonalGaussian(DIM)
PRIORS = {
    "conditional_gaussian": priors.ConditionalGaussian(DIM),
    "gaussian_mixture": priors.GaussianMixture(DIM, 4),
    "vamp": priors.VampPrior(
        ENCODER, POSTERIOR, lambda: np.random.default_rng(0).random((4, *SHAPE))
    ),
    "realnvp": priors.FlowPrior(
        priors.StandardNormal(DIM), flows.Chain([flows.Coupling(DIM, (6,))] * 2)
    ),
}


def model_with(
    prior: Any, num_labels: int | None = None, posterior: Any = POSTERIOR
) -> VAE:
    return VAE(
        encoder=ENCODER,
        posterior=posterior,
        prior=prior,
        decoder=MLPDecoder(SHAPE, (6,), nn.tanh),
        likelihood=Bernoulli(),
        num_labels=num_labels,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", PRIORS)
def test_bounds_of_every_other_prior_on_the_reals_meet(name: str) -> None:
    """At random parameters, so that prior and posterior differ."""
    is_conditional, keys = PRIORS[name].is_conditional, keys_of(range(60))
    model = model_with(PRIORS[name], LABELS if is_conditional else None)
    labels = jnp.arange(60) % LABELS if is_conditional else None
    shapes = jax.eval_shape(
        lambda key, x: model.init(key, x, keys, label=labels),
        jax.random.key(0),
        jnp.zeros((60, *SHAPE)),
    )
    leaves, tree = jax.tree.flatten(shapes)
    random = np.random.default_rng(0)
    variables = jax.tree.unflatten(
        tree, [random.normal(0, 0.7, leaf.shape).astype(np.float32) for leaf in leaves]
    )
    bounds = chains(40, 6, model)

    @jax.jit
    def both(variables, keys, labels):
        x, z = bounds.simulate(variables, labels, keys)
        step_sizes = bounds.tune(variables, x, labels, keys)
        given = (variables, x, labels, keys, step_sizes)
        return bounds.lower(*given), bounds.upper(*given, z)

    lower, upper = both(variables, keys, labels)
    gap, error = mean_and_error(upper.log_likelihood - lower.log_likelihood)
    assert -4 * error < gap < 1, (gap, error)


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        (posteriors.VonMisesFisher(DIM), priors.UniformOnSphere(DIM)),
        (posteriors.RelaxedCategorical(DIM, 2), priors.UniformCodes(DIM, 2)),
    ],
)
def test_codes_that_gradients_cannot_move_are_refused(
    posterior: Any, prior: Any
) -> None:
    with pytest.raises(Unsupported, match="codes in the reals"):
        chains(1, model=model_with(prior, posterior=posterior))

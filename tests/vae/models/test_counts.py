"""Likelihoods of counts, from features to trained models."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import vae
from experiments.program import make_program
from tests.helpers.counts import save_counts
from tests.vae.test_registry import tiny_config
from vae.build import build
from vae.data.checks import check_scale
from vae.data.splits import Dataset, Split
from vae.models.counts import (
    MIN_MEAN,
    Multinomial,
    NegativeBinomial,
    Poisson,
    StudentT,
    ZeroInflatedNegativeBinomial,
)
from vae.types import UserError

MENU = [
    Poisson(),
    Poisson(library=True),
    NegativeBinomial(),
    NegativeBinomial(library=True, dispersion="shared"),
    ZeroInflatedNegativeBinomial(dispersion="shared"),
    ZeroInflatedNegativeBinomial(library=True),
    Multinomial(),
]
GIVEN_TOTAL = [module for module in MENU if module.needs_all_values]
every_count = pytest.mark.parametrize("module", MENU)
every_given_total = pytest.mark.parametrize("module", GIVEN_TOTAL)


def begun(module: Any, features: Any, event_dim: int = 1) -> Any:
    return module.init_with_output(
        jax.random.key(0), jnp.asarray(features), event_dim=event_dim
    )


def features_of(module: Any, *shape: int) -> jax.Array:
    shape = *shape[:-1], shape[-1] * module.features_per_channel
    return jax.random.normal(jax.random.key(1), shape)


def shifted(path: Any, parameter: jax.Array, *, shift: float) -> jax.Array:
    """A dispersion, moved."""
    return parameter + shift * (path[-1].key == "log_inverse_dispersion")


@pytest.mark.sampled(4)
@pytest.mark.parametrize("module", [*MENU, StudentT()])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_finite_with_finite_gradients_at_extreme_features(module, size: float) -> None:
    random = np.random.default_rng(0)
    shape = (500, 4 * module.features_per_channel)
    features = jnp.asarray(size * random.choice([-1.0, 0.0, 1.0], shape), jnp.float32)
    x = jnp.asarray(random.choice([0.0, 1.0, 1e7], (500, 4)), jnp.float32).at[0].set(0)
    _, variables = begun(module, features)

    def total(features: jax.Array, variables: Any) -> jax.Array:
        likelihood = module.apply(variables, features, event_dim=1)
        # means reach exp(30), of which a sum with log masses would keep no other digit
        return likelihood.log_prob(x).sum() + jnp.log1p(jnp.abs(likelihood.mean)).sum()

    grad = jax.jit(jax.value_and_grad(total, (0, 1)))
    for shift in (0.0, -100.0, 100.0):  # of the dispersion, to beyond its bounds
        moved = jax.tree_util.tree_map_with_path(
            partial(shifted, shift=shift), variables
        )
        value, grads = grad(features, moved)
        assert np.isfinite(value)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


@pytest.mark.sampled(2)
@every_count
def test_counts_are_drawn_and_scored_in_any_shape(module) -> None:
    """Vectors, images, and a batch of samples are the same numbers."""
    features = features_of(module, 3, 2, 6)
    likelihood, _ = begun(module, features)
    assert (likelihood.batch_shape, likelihood.event_shape) == ((3, 2), (6,))
    x = likelihood.sample(jax.random.key(0), (5,))
    assert x.shape == (5, 3, 2, 6) and module.supports(np.asarray(x))
    images = features.reshape(3, 2, 1, 3, -1)
    of_images, _ = begun(module, images, event_dim=3)
    assert of_images.event_shape == (1, 3, 2)
    got = of_images.log_prob(x.reshape(5, 3, 2, 1, 3, 2))
    np.testing.assert_array_equal(got, likelihood.log_prob(x))
    half, _ = begun(module, features.astype(jnp.bfloat16))
    assert half.log_prob(x).dtype == half.mean.dtype == jnp.float32


@every_count
def test_features_of_mean_invert_the_mean(module) -> None:
    mean = np.array([0.0, 0.25, 700.0, 1e7])
    likelihood, _ = begun(module, module.features_of_mean(mean))
    expected = np.maximum(mean, MIN_MEAN)
    # Given the total: the typical one begins at 1, and some are lost as zeros.
    if module.needs_all_values:
        kept = 0.9 if isinstance(module, ZeroInflatedNegativeBinomial) else 1
        np.testing.assert_allclose(likelihood.mean.sum(), kept, rtol=1e-5)
        expected = expected / expected.sum() * likelihood.mean.sum()
    np.testing.assert_allclose(likelihood.mean, expected, rtol=1e-5)


@every_count
def test_support_and_what_the_encoder_sees(module) -> None:
    assert module.is_discrete and not module.is_binary()
    for x, accepted in (
        ([0, 1], True),
        ([0, 2**24], True),
        ([0.5, 1], False),
        ([-1, 1], False),
        ([np.nan], False),
        ([np.inf], False),
    ):
        assert module.supports(np.float32(x)) is accepted
    x = np.float32([0, 1, 1e7])
    on_host, seen = module.encoder_view(x), module.encoder_view(jnp.asarray(x))
    assert isinstance(on_host, np.ndarray) and isinstance(seen, jax.Array)
    np.testing.assert_allclose(on_host, np.log1p(x.astype(float)), rtol=1e-6)
    np.testing.assert_allclose(seen, on_host, rtol=1e-6)


def test_scale_is_judged_by_what_the_encoder_sees() -> None:
    split = Split(np.full((5, 3), 2.0**24, np.float32), None)
    data = Dataset(split, split[:0], split)
    check_scale(data, Poisson.encoder_view)
    with pytest.raises(UserError, match="scale=standardize"):
        check_scale(data, StudentT.encoder_view)


def test_dispersions_are_parameters_of_columns_or_one() -> None:
    for dispersion, shape in (("per_column", (6,)), ("shared", ())):
        module = NegativeBinomial(dispersion=dispersion)
        _, variables = begun(module, features_of(module, 2, 6))
        assert variables["params"]["log_inverse_dispersion"].shape == shape


@pytest.mark.slow
def test_the_likelihood_of_the_dispersion_is_highest_at_that_of_the_data() -> None:
    x = stats.nbinom(3.0, 3.0 / 13.0).rvs(40_000, random_state=0)  # r = 3, mean 10
    module = NegativeBinomial(dispersion="shared")
    features = jnp.full((1, 1), np.log(10.0))
    _, variables = begun(module, features)

    def score(log_r: float) -> jax.Array:
        at = jax.tree.map(lambda _: log_r, variables)
        score = module.apply(at, features, event_dim=1).log_prob
        return score(jnp.asarray(x[:, None], jnp.float32)).mean()

    scores = [score(np.log(r)) for r in (2.7, 2.85, 3.0, 3.15, 3.3)]
    assert np.argmax(scores) in (1, 2, 3)


@pytest.mark.sampled(1)
@every_given_total
def test_the_typical_total_is_the_mean_from_the_first_step_on(module) -> None:
    features = features_of(module, 7, 8, 6)
    x = jnp.asarray(np.random.default_rng(0).poisson(50, (8, 6)), jnp.float32)
    likelihood, variables = begun(module, features)

    def loss(variables: Any, features: jax.Array) -> jax.Array:
        likelihood = module.apply(variables, features, event_dim=1)
        return module.apply(variables, likelihood, x, None, method="ema_loss")

    value, (grad, to_features) = jax.value_and_grad(loss, (0, 1))(variables, features)
    assert value == 0 and not to_features.any()
    moved = jax.tree.map(lambda p, g: p - 0.01 * g, variables, grad)
    after = module.apply(moved, features, event_dim=1)
    # the weight of the start, 1e-6, is beside 0.01
    ratio = x.sum(-1).mean()
    np.testing.assert_allclose(after.mean, likelihood.mean * ratio, rtol=2e-4)
    # no density depends on it, and none of its gradients moves it
    np.testing.assert_array_equal(after.log_prob(x), likelihood.log_prob(x))
    slope = jax.grad(
        lambda v: module.apply(v, features, event_dim=1).log_prob(x).sum()
    )(variables)
    assert not slope["params"]["average_total"].any()


@pytest.mark.sampled(1)
@every_given_total
def test_a_constant_in_the_features_changes_no_share(module) -> None:
    features = features_of(module, 4, 6).reshape(4, 6, -1)
    moved = features.at[..., 0].add(7)
    x = jnp.asarray(np.random.default_rng(0).poisson(5, (4, 6)), jnp.float32)
    found = [begun(module, f.reshape(4, -1))[0].log_prob(x) for f in (features, moved)]
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_student_t_has_its_density_and_scale() -> None:
    module, x = StudentT(degrees=3.0), jnp.float32([[0.3, -20.0]])
    likelihood, variables = begun(module, jnp.float32([[0.1, 0.2]]))
    expected = stats.t(3, np.array([0.1, 0.2])).logpdf(x).sum()
    np.testing.assert_allclose(likelihood.log_prob(x)[0], expected, rtol=1e-5)
    wide = jax.tree.map(lambda p: p + np.log(2), variables)
    likelihood = module.apply(wide, jnp.float32([[0.1, 0.2]]), event_dim=1)
    expected = stats.t(3, np.array([0.1, 0.2]), 2).logpdf(x).sum()
    np.testing.assert_allclose(likelihood.log_prob(x)[0], expected, rtol=1e-5)
    np.testing.assert_array_equal(likelihood.mean, [np.float32([0.1, 0.2])])


def two_clusters(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts [N, 12] of two clusters of rates, and their labels."""
    random = np.random.default_rng(0)
    rates = np.exp(random.normal(0, 1.5, (2, 12)))
    label = random.integers(0, 2, count)
    return random.poisson(5 * rates[label]).astype(np.float32), label


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", [Poisson(), ZeroInflatedNegativeBinomial(), Multinomial()]
)
def test_a_model_of_clusters_beats_independent_counts_at_their_means(module) -> None:
    x, _ = two_clusters(500)
    number = module.features_per_channel
    model = vae.VAE(
        encoder=vae.MLPEncoder((32,)),
        posterior=vae.DiagonalGaussian(2),
        prior=vae.StandardNormal(2),
        decoder=vae.MLPDecoder((12 * number,), (32,)),
        likelihood=module,
    )
    fitted = vae.fit(
        model, vae.objective("elbo"), x, steps=600, batch_size=50, log_every=300
    )
    alone = stats.poisson(x.mean(0)).logpmf(x).sum(-1).mean()
    if isinstance(module, Multinomial):  # given their sum
        total = x.sum(-1)
        alone -= stats.poisson(x.sum(-1).mean()).logpmf(total).mean()
    assert fitted.history[-1]["elbo_nats"] > alone + 10
    mean = fitted.reconstruct(x)
    assert np.abs(mean - x).mean() < 0.8 * np.abs(x - x.mean(0)).mean()


def test_pseudo_inputs_are_what_the_encoder_sees(tmp_path: Path) -> None:
    data = save_counts(tmp_path / "counts.npz")
    experiment = build(tiny_config(data, likelihood="poisson", prior="vamp"))
    state, _ = make_program(experiment).initialize(experiment)
    inputs = state.params["model"]["prior"]["pseudo_inputs"]
    stored = experiment.dataset.train.images
    assert stored.max() > 3
    for row in np.asarray(inputs):
        assert np.isclose(row, np.log1p(stored)).all(-1).any()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((16, 6), 0.5), "0.5 and 0.5"),
        (np.full((16, 6), -1), "-1 and -1"),
        (np.full((16, 4, 4), 7, np.uint8), "bytes of images are divided by 255"),
    ],
)
def test_other_values_are_refused(x: np.ndarray, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x)
    config = tiny_config(f"npz:{tmp_path}/a.npz", likelihood="negative_binomial")
    with pytest.raises(UserError, match="density over counts 0, 1, 2, ") as error:
        build(config)
    assert message in str(error.value)

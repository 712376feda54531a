"""Training on arrays equals training from a configuration."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vae
from experiments import train
from tests.experiments.conftest import make_small_config, undrawn  # noqa: F401
from vae.fields import Weight

COUNT, SHAPE = 60, (4, 4, 1)


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), np.uint8)


def make_model(latent_dim: int = 3) -> vae.VAE:
    return vae.VAE(
        encoder=vae.MLPEncoder(widths=(8,)),
        posterior=vae.DiagonalGaussian(latent_dim=latent_dim),
        prior=vae.StandardNormal(latent_dim=latent_dim),
        decoder=vae.MLPDecoder(widths=(8,), event_shape=SHAPE),
        likelihood=vae.Bernoulli(),
    )


@pytest.mark.slow
def test_the_same_numbers_as_a_launch(tmp_path: Path) -> None:
    """Without padding and with the same seed, streams of randomness are the same."""
    np.savez(tmp_path / "data.npz", x_train=images(), x_test=images()[:20])
    config = make_small_config()
    config.update_from_flattened_dict(
        {
            "dataset.name": f"npz:{tmp_path}/data.npz",
            "dataset.batch_size": 20,
            "dataset.binarize": "dynamic",
            "model.latent_dim": 16,
            "model.encoder.widths": (8,),
            "model.decoder.widths": (8,),
            "model.decoder.output_bias": "zeros",
            "objective.beta": 2.0,
            "train.steps": 10,
            "train.log_every": 5,
        }
    )
    train.run(config, tmp_path / "run")
    of_run = vae.load(tmp_path / "run")
    fitted = vae.fit(
        make_model(16),
        vae.objective("beta_vae", beta=2.0),
        images(),
        steps=10,
        batch_size=20,
        binarize=True,
        log_every=5,
    )
    for a, b in zip(fitted.encode(images()), of_run.encode(images()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert [entry["step"] for entry in fitted.history] == [5, 10]


def test_the_average_of_weights_is_that_of_all_steps() -> None:
    """With d = .1, 2/11 and 3/12, from the weights after 0, 1, 2 and 3 steps."""

    def weights(steps: int, **options: Any) -> Any:
        fitted = vae.fit(
            make_model(),
            vae.objective("elbo"),
            images(),
            steps=steps,
            batch_size=20,
            binarize=True,
            **options,
        )
        return fitted.variables["params"]

    expected = weights(0)
    for steps, decay in enumerate([0.1, 2 / 11, 3 / 12], 1):
        expected = jax.tree.map(
            lambda a, w, d=decay: d * a + (1 - d) * w, expected, weights(steps)
        )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        weights(3, ema_decay=0.9),
        expected,
    )


@pytest.mark.sampled(1)
@pytest.mark.parametrize("name", ["geco", "factor_vae", "dreg"])
def test_objectives_with_parts_of_their_own_train(name: str) -> None:
    small = {"discriminator_widths": (4,)} if name == "factor_vae" else {}
    criterion = vae.objective(name, **small)
    fitted = vae.fit(
        make_model(),
        criterion,
        images(),
        steps=4,
        batch_size=20,
        log_every=3,
        binarize=True,
    )
    assert [entry["step"] for entry in fitted.history] == [3, 4]
    for entry in fitted.history:
        assert np.isfinite(entry["loss"])
        assert entry["grad_norm"] > 0 and entry["param_norm"] > 0


@pytest.mark.slow
def test_a_penalty_of_ones_own_is_the_registrys() -> None:
    def own(inference, terms, moment, *, weight: float = 1.0):
        return weight * terms.rate.mean(), {}

    def traced(inference, terms, moment, *, weight: Weight = 1.0):
        return weight * terms.rate.mean(), {}

    given: Any = {"steps": 6, "batch_size": 20, "binarize": True}
    expected = vae.fit(
        make_model(), vae.objective("beta_vae", beta=3.0), images(), **given
    )
    for penalty in (own, traced):
        found = vae.fit(
            make_model(), vae.objective(penalty, weight=3.0), images(), **given
        )
        assert found.history[0]["loss"] == pytest.approx(expected.history[0]["loss"])


def test_what_an_objective_cannot_do_is_a_sentence() -> None:
    model = make_model().clone(posterior=vae.FullGaussian(3))
    given: Any = {"steps": 1, "batch_size": 20, "binarize": True}
    with pytest.raises(ValueError, match="^the objective needs a KL per dimension"):
        vae.fit(model, vae.objective("free_bits"), images(), **given)


def test_bad_input_is_one_sentence() -> None:
    x, beta = images(), vae.objective("beta_vae")
    with pytest.raises(vae.UserError, match="did you mean beta_vae"):
        vae.objective("beta_vea")
    with pytest.raises(vae.UserError, match="objective.gama=3.0: did you mean gamma"):
        vae.objective("capacity", gama=3.0)
    with pytest.raises(vae.UserError, match="must be a number, 0 or more"):
        vae.objective("beta_vae", beta=-1.0)
    with pytest.raises(vae.UserError, match=r"x must be \[N, H, W, C\] or \[N, D\]"):
        vae.fit(make_model(), beta, x[..., 0], steps=1)
    with pytest.raises(vae.UserError, match="x is int64: give images as bytes"):
        vae.fit(make_model(), beta, x.astype(int), steps=1)
    with pytest.raises(vae.UserError, match="batch_size=100 must be 1 to 60"):
        vae.fit(make_model(), beta, x, steps=1)
    with pytest.raises(vae.UserError, match="the model is not conditional"):
        label = np.zeros(60, np.int32)
        vae.fit(
            make_model(), beta, x, steps=1, batch_size=10, binarize=True, label=label
        )
    with pytest.raises(vae.UserError, match=r"label must be \[60\].* but is \[3\]"):
        label = np.zeros(3, np.int32)
        vae.fit(
            make_model(), beta, x, steps=1, batch_size=10, binarize=True, label=label
        )
    with pytest.raises(vae.UserError, match="ema_decay=1.0 must be"):
        vae.fit(
            make_model(), beta, x, steps=1, batch_size=10, binarize=True, ema_decay=1.0
        )
    with pytest.raises(vae.UserError, match="binarize needs pixels"):
        vae.fit(make_model(), beta, x * 1.0, steps=1, batch_size=10, binarize=True)
    rows, decoder = np.float32([[0, 1], [1, 1]] * 5), vae.MLPDecoder((2,), widths=(8,))
    for given, missing in (({"scale": "log1p"}, False), ({}, True)):
        with pytest.raises(vae.UserError, match="binarize=True cannot draw"):
            model = make_model().clone(decoder=decoder, observed_only=missing)
            vae.fit(model, beta, rows, steps=1, batch_size=5, binarize=True, **given)
    with pytest.raises(vae.UserError, match="0 or 1, but x has .*: binarize=True"):
        vae.fit(make_model(), beta, x * 1.0, steps=1, batch_size=10)
    with pytest.raises(Exception, match="diverged at step"):
        rate = optax.sgd(1e30)
        binary = (x > 99).astype(np.float32)
        vae.fit(make_model(), beta, binary, steps=5, batch_size=10, optimizer=rate)


@pytest.mark.slow
def test_scaling_changes_no_density_in_the_units_of_the_data() -> None:
    """Nor what is decoded: the units of the data do not matter."""
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 2)) @ random.normal(size=(2, 4))
    x += random.normal(size=(200, 4)) / 3
    units, shift = np.array([1e-3, 1, 30, 1e4]), np.array([0, 5, 0, -2e4])

    def fit(x: np.ndarray) -> vae.FittedVAE:
        model = vae.VAE(
            encoder=vae.MLPEncoder(widths=(8,)),
            posterior=vae.DiagonalGaussian(latent_dim=2),
            prior=vae.StandardNormal(latent_dim=2),
            decoder=vae.MLPDecoder(widths=(8,), event_shape=(4,)),
            likelihood=vae.GaussianShared(),
        )
        given = vae.objective("elbo"), x
        return vae.fit(model, *given, steps=100, batch_size=50, scale="standardize")

    ours, theirs = fit(x), fit(x * units + shift)
    expected = ours.log_prob(x).value - np.log(units).sum()
    np.testing.assert_allclose(
        theirs.log_prob(x * units + shift).value, expected, atol=0.01
    )
    key = jax.random.key(0)
    for a, b in (
        (ours.sample(key, 3), theirs.sample(key, 3)),
        (ours.reconstruct(x[:3]), theirs.reconstruct(x[:3] * units + shift)),
    ):
        np.testing.assert_allclose((b - shift) / units, a, atol=0.01)
    with pytest.raises(vae.UserError, match="scale=zscore is unknown.*choose from"):
        vae.fit(ours.model, vae.objective("elbo"), x, steps=1, scale="zscore")
    with pytest.raises(vae.UserError, match="scale=robust is for vectors of numbers"):
        vae.fit(ours.model, vae.objective("elbo"), x > 0, steps=1, scale="robust")


@pytest.mark.slow
def test_vectors_are_fitted_as_they_are() -> None:
    """Counts are numbers of their own, whatever their type."""
    counts = np.random.default_rng(0).poisson(3, (60, 4))

    def fit(x: np.ndarray, **parts: Any) -> vae.FittedVAE:
        given = {
            "encoder": vae.MLPEncoder(widths=(5,)),
            "posterior": vae.DiagonalGaussian(latent_dim=2),
            "prior": vae.StandardNormal(latent_dim=2),
            "decoder": vae.MLPDecoder(widths=(5,), event_shape=(4,)),
            "likelihood": vae.GaussianShared(),
        }
        model = vae.VAE(**(given | parts))
        return vae.fit(model, vae.objective("elbo"), x, steps=2, batch_size=20)

    fitted = fit(counts)
    codes = np.asarray(fitted.encode(counts).mean)
    for x in (counts.astype(np.uint8), counts.astype(np.float64)):
        again = fit(x)
        for asked in (counts, x, jnp.asarray(counts, jnp.float32)):
            np.testing.assert_array_equal(again.encode(asked).mean, codes)
    assert fitted.reconstruct(counts).shape == (60, 4)
    assert fitted.sample(jax.random.key(0), 3).shape == (3, 4)
    assert fitted.interpolate(counts[0], counts[1], 5).shape == (5, 4)
    assert np.isfinite(fitted.log_prob(counts, 5).value).all()
    wrong = vae.MLPDecoder(widths=(5,), event_shape=(3,))
    with pytest.raises(vae.UserError, match=r"of examples \[3\], and those"):
        fit(counts, decoder=wrong)
    with pytest.raises(vae.UserError, match=r"of examples \[2\].*event_shape to \[8\]"):
        fit(counts, likelihood=vae.GaussianPerPixel())


@pytest.mark.slow
def test_bool_examples_are_black_and_white() -> None:
    x = images() > 99
    fits = [
        vae.fit(make_model(), vae.objective("elbo"), given, steps=2, batch_size=20)
        for given in (x, x.astype(np.uint8) * np.uint8(255))
    ]
    a, b = (
        np.asarray(f.encode(g).mean) for f, g in zip(fits, (x, x * 1.0), strict=True)
    )
    np.testing.assert_array_equal(a, b)

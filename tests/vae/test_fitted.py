"""A fitted model's answers, where they are known."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from vae.data.given import check_label
from vae.data.preprocess import make_preprocess

SHAPE, DIM = (2, 3, 1), 2


@functools.cache
def make_fitted(binarize: str = "none", dtype: type = np.uint8) -> vae.FittedVAE:
    model = vae.VAE(
        encoder=vae.MLPEncoder(widths=(5,)),
        posterior=vae.DiagonalGaussian(latent_dim=DIM),
        prior=vae.StandardNormal(latent_dim=DIM),
        decoder=vae.MLPDecoder(widths=(5,), event_shape=SHAPE),
        likelihood=vae.Bernoulli(),
    )
    x, keys = jnp.zeros((1, *SHAPE)), jax.random.split(jax.random.key(0), 1)
    return vae.FittedVAE(
        model,
        model.init(jax.random.key(1), x, keys),
        event_shape=SHAPE,
        dtype=dtype,
        preprocess=make_preprocess(binarize, jnp.float32),
    )


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), np.uint8)


@pytest.mark.slow
def test_log_prob_is_the_integral_over_a_grid() -> None:
    """log p(x) of a model of two dimensions by quadrature, within the error that the
    bound states."""
    fitted, x = make_fitted(), images(4)
    axis = np.linspace(-6, 6, 121)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, DIM).astype(np.float32)
    mean = np.asarray(fitted.decode(grid), np.float64).reshape(len(grid), 1, -1)
    pixels = x.reshape(1, len(x), -1) / 255
    log_likelihood = np.log(mean) * pixels + np.log1p(-mean) * (1 - pixels)
    log_prior = -(grid**2).sum(-1) / 2 - np.log(2 * np.pi)
    log_joint = log_likelihood.sum(-1) + log_prior[:, None]
    exact = np.logaddexp.reduce(log_joint, 0) + 2 * np.log(axis[1] - axis[0])
    found = fitted.log_prob(x, 2_000)
    assert (np.asarray(found.standard_error) < 0.1).all()
    assert (np.abs(found.value - exact) < 5 * found.standard_error + 1e-4).all()


@pytest.mark.slow
def test_the_standard_error_is_that_of_repeated_estimates() -> None:
    fitted, repeats = make_fitted(), 400
    x = np.repeat(images(1), repeats, 0)  # each with noise of its own
    found = fitted.log_prob(x, 50)
    assert np.isnan(fitted.log_prob(x[:2], 1).standard_error).all()
    spread = np.std(found.value, ddof=1)
    assert np.mean(found.standard_error) == pytest.approx(
        spread, rel=4 / np.sqrt(2 * repeats)
    )


def test_interpolation_and_reconstruction_decode_the_codes() -> None:
    fitted, x = make_fitted(), images(3)
    means = fitted.encode(x).mean
    np.testing.assert_allclose(
        fitted.reconstruct(x), fitted.decode(means), rtol=1e-5, atol=1e-6
    )
    between = fitted.interpolate(x[0], x[1], 5)
    middle = fitted.decode((means[0] + means[1]) / 2)
    np.testing.assert_allclose(between[2], middle, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(between[0], fitted.decode(means[0]), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("binarize", ["none", "dynamic"])
def test_images_in_pieces_give_the_same(binarize: str) -> None:
    fitted, x = make_fitted(binarize), images(7)
    whole = fitted.encode(x), fitted.bounds(x).distortion
    pieces = [
        (fitted.encode(x[i:j], first=i), fitted.bounds(x[i:j], first=i).distortion)
        for i, j in ((0, 3), (3, 7))
    ]
    joined = jax.tree.map(lambda *arrays: np.concatenate(arrays), *pieces)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(joined), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_moments_of_samples_stand_for_those_of_a_flow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a Gaussian both are known."""
    known = make_fitted().encode(images(2))
    make_fitted.cache_clear()

    def unknown(self: vae.FittedVAE) -> None:
        raise NotImplementedError

    from numpyro.distributions import Independent

    monkeypatch.setattr(Independent, "mean", property(unknown))
    found = make_fitted().encode(images(2))
    make_fitted.cache_clear()
    error = known.scale / 10  # 100 samples
    assert (np.abs(found.mean - known.mean) < 5 * error).all()
    np.testing.assert_allclose(found.scale, known.scale, rtol=5 / np.sqrt(200))


def test_a_temperature_shrinks_codes_towards_the_mean() -> None:
    """At 0 all samples are the mean image of the code 0; at 1 they are the prior's."""
    fitted, key = make_fitted(), jax.random.key(0)
    cold = fitted.sample(key, 3, temperature=0.0)
    expected = np.broadcast_to(fitted.decode(np.zeros((1, DIM))), cold.shape)
    np.testing.assert_allclose(cold, expected, rtol=1e-6)
    z = fitted.model.apply(fitted.variables, method="prior_of").sample(key, (3,))
    np.testing.assert_allclose(fitted.sample(key, 3), fitted.decode(z), rtol=1e-6)
    half = fitted.sample(key, 3, temperature=0.5)
    np.testing.assert_allclose(half, fitted.decode(z / 2), rtol=1e-6)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"x must be \[N, 2, 3, 1\], but is \[3, 2\]"):
        make_fitted().encode(np.zeros((3, 2)))


def test_labels_are_those_of_the_model() -> None:
    check_label(jnp.array([0, 9]), 10)
    for label in (np.array([0, 10]), -1, jnp.array([12]), 0.5, np.array([1.0])):
        with pytest.raises(ValueError, match="labels must be integers from 0 to 9"):
            check_label(label, 10)
    with pytest.raises(ValueError, match="not conditional: leave the label out"):
        check_label(0, None)
    with pytest.raises(ValueError, match="is conditional: give label="):
        check_label(None, 10)
    with pytest.raises(ValueError, match="0 to 9, but label 0 is cat"):
        check_label(np.array(["cat", "dog"]), 10)


def test_what_does_not_fit_is_one_sentence() -> None:
    fitted, x = make_fitted(), images(2)
    for call, said in (
        (lambda: fitted.encode(x[:0]), r"x must be \[N, 2, 3, 1\], but is \[0, 2, 3"),
        (
            lambda: fitted.encode(x, np.zeros(2, int)),
            "not conditional: leave",
        ),
        (lambda: fitted.decode(np.zeros((2, 5), np.float32)), r"z must be \[..., 2\]"),
        (lambda: fitted.interpolate(x[:1], x[1:]), r"must be \[2, 3, 1\], but one is"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    with pytest.raises(TypeError, match="give codes.mean"):  # without the type checker
        inspect.unwrap(vae.FittedVAE.decode)(fitted, fitted.encode(x))

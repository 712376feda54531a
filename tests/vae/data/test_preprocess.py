import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae import rng
from vae.data.preprocess import (
    binarize_on_host,
    is_nearly_binary,
    make_preprocess,
    mean_image,
    to_unit,
    with_flips,
)
from vae.data.sources import load
from vae.data.splits import Dataset, Split, cut_validation
from vae.models.likelihoods import MEAN_BOUNDS
from vae.types import UserError


def joined(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns all training images, validation at their end, and the test images."""
    parts = [dataset.train.images, dataset.validation.images]
    return np.concatenate(parts), dataset.test.images


def keys(count: int) -> jax.Array:
    return rng.per_example(rng.stream(0, "test"), jnp.arange(count))


@pytest.mark.parametrize("as_float", [False, True])
def test_dynamic_binarisation_has_the_pixel_as_probability(as_float: bool) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    image = to_unit(pixels).astype(np.float32) if as_float else pixels
    draws = 4000
    images = np.broadcast_to(image, (draws, 16, 16, 1))
    x = jax.jit(make_preprocess("dynamic", jnp.float32))(images, keys(draws))
    assert set(np.unique(x)) == {0.0, 1.0}
    p = pixels / 255
    error = np.sqrt(p * (1 - p) / draws)
    # 5 standard errors; the grid of 1/256 adds at most 1/510.
    assert (np.abs(x.mean(0) - p) <= 5 * error + 1 / 510).all()


def test_dynamic_binarisation_is_drawn_anew_for_each_key() -> None:
    image = np.full((1, 28, 28, 1), 128, np.uint8)
    preprocess = make_preprocess("dynamic", jnp.float32)
    first, second = (preprocess(image, keys(2)[i : i + 1]) for i in (0, 1))
    assert 300 < (first != second).sum() < 484  # of 784 coins: 392 +- 14


@pytest.mark.slow
def test_static_recipe_gives_the_published_test_set(mnist_dir: str) -> None:
    """Tomczak & Welling's seed 777; figures computed for this project from it."""
    train, test, *_ = load("mnist", mnist_dir)
    dataset = binarize_on_host(cut_validation(train, test, 10_000), "static")
    other = binarize_on_host(cut_validation(train, test, 500), "static")
    for images in zip(joined(dataset), joined(other), strict=True):
        np.testing.assert_array_equal(*images)
    means = [to_unit(s.images).mean() for s in (dataset.validation, dataset.test)]
    np.testing.assert_allclose(means, [0.129101, 0.132442], atol=1e-6)  # six digits
    # Independent pixels with the training means: 205.958 nats on this test set.
    p = np.clip(mean_image(train), *MEAN_BOUNDS)
    x = dataset.test.images > 0
    nll = -np.where(x, np.log(p), np.log1p(-p)).sum((1, 2, 3)).mean()
    np.testing.assert_allclose(nll, 205.958, atol=5e-4)


def test_threshold_and_none() -> None:
    split = Split(np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2, 1), None)
    dataset = Dataset(split, split, split)
    on = binarize_on_host(dataset, "threshold").train.images.ravel()
    np.testing.assert_array_equal(on, [0, 0, 255, 255])
    assert binarize_on_host(dataset, "none") is dataset
    scaled = make_preprocess("none", jnp.float32)(split.images, keys(1))
    np.testing.assert_allclose(scaled.ravel(), [0, 127 / 255, 128 / 255, 1])


def test_probabilities_outside_the_unit_interval_are_refused() -> None:
    split = Split(np.full((1, 2, 2, 1), 1.5, np.float32), None)
    with pytest.raises(UserError, match="from 1.5 to 1.5"):
        binarize_on_host(Dataset(split, split, split), "dynamic")


def test_mean_image() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5000, 2, 3, 1), dtype=np.uint8)
    expected = (images / 255).mean(0)
    np.testing.assert_allclose(mean_image(Split(images, None)), expected)


def test_digits_are_nearly_binary_and_shades_are_not() -> None:
    digits, *_ = load("mnist_5k")
    assert is_nearly_binary(digits)
    ramp = np.linspace(0, 255, 10 * 16 * 16).astype(np.uint8).reshape(10, 16, 16, 1)
    for images in (ramp, ramp / 255, ramp / 128 - 1):
        assert not is_nearly_binary(Split(images, None))
    for images in ((ramp > 100).astype(float), np.zeros_like(ramp)):
        assert is_nearly_binary(Split(images, None))


def test_flips_mirror_half_of_the_images_and_change_nothing_else() -> None:
    """A mirrored image has the binarisation that it has without flips, mirrored."""
    images = np.random.default_rng(0).integers(0, 256, (400, 4, 5, 1), np.uint8)
    plain = make_preprocess("dynamic", jnp.dtype("float32"))
    assert with_flips(plain, "none") is plain
    flipped = jax.jit(with_flips(plain, "horizontal"))
    x, given = flipped(images, keys(400)), plain(images, keys(400))
    is_same, is_mirrored = (
        (x == other).all((1, 2, 3)) for other in (given, given[:, :, ::-1])
    )
    assert (is_same | is_mirrored).all()
    assert 150 < is_mirrored.sum() < 250
    some = slice(7, 11)  # each depends on its own key
    np.testing.assert_array_equal(flipped(images[some], keys(400)[some]), x[some])

"""From stored pixels to what the model sees: scaling and binarisation."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae import rng
from vae.data.splits import DRAWN, Dataset, Split, evenly_spaced
from vae.data.sprites import Sprites
from vae.data.storage import allocate, blocks, map_rows
from vae.types import UserError

FLIPS = {"none": None, "horizontal": 2}  # the axis of images [B, H, W, C]
BINARIZATIONS = ("auto", "dynamic", "static", "threshold", "none")
# Share of the variance that black or white pixels of the same mean would have which the
# pixels lack: 0 for binary ones, .16 for MNIST, .39 for Fashion-MNIST, .5 for photos.
NEARLY_BINARY = 0.25
STATIC_FIRST = 10_000  # of the training images, from its end
BLOCK = 4096  # images held in float64 at once
MOST = 60_000  # images of which the mean is taken
Preprocess = Callable[[Any, jax.Array], jax.Array]  # (stored, keys [B]) -> x
LOOKED_AT = 500  # images by which `is_nearly_binary` and `pixel_range` judge
STATIC_SEED = 777  # Tomczak & Welling 2018, github.com/jmtomczak/vae_vampprior


def binarize_on_host(dataset: Dataset, binarize: str) -> Dataset:
    """Applies the binarisations that are drawn once: `static` and `threshold`.

    `static` is the recipe of the VampPrior's code: pixel / 255 as probability,
    `numpy.random.seed(777)`, first the last 10,000 training images (its validation
    set), then test; then, beyond that recipe, the other training images, so that every
    image has one binarisation for ever, whatever `validation_size` is.
    `threshold` turns a pixel on above one half. `dynamic` and `none` change nothing.

    Raises:
      UserError: pixels outside [0, 1] after scaling, which are no probabilities.
    """
    if binarize != "none":
        for split in dataset.splits.values():
            _check_unit_interval(split, binarize)
    if binarize in ("static", "threshold") and is_drawn(dataset.train):
        raise UserError(
            f"dataset.binarize={binarize} is for images that are stored, but sprites "
            "are drawn at each look: choose none (they are binary) or dynamic"
        )
    if binarize == "threshold":
        return dataset.map(_cut_at_half)
    if binarize != "static":
        return dataset
    random = np.random.RandomState(STATIC_SEED)
    draw = functools.partial(random.binomial, 1)
    train, validation, test = dataset.splits.values()
    binary = dataset.map(
        lambda s: s._replace(images=allocate(s.images.shape, np.uint8))
    )
    boundary = max(0, train.size + validation.size - STATIC_FIRST)
    of_train, of_validation = min(boundary, train.size), max(0, boundary - train.size)
    for split, drawn, where in (
        (train, binary.train, slice(of_train, None)),
        (validation, binary.validation, slice(of_validation, None)),
        (test, binary.test, slice(None)),
        (train, binary.train, slice(of_train)),
        (validation, binary.validation, slice(of_validation)),
    ):
        _draw_into(drawn.images[where], split.images[where], draw)
    return binary


def _cut_at_half(split: Split) -> Split:
    """Turns pixels on above one half."""

    def cut(block: np.ndarray) -> np.ndarray:
        return (to_unit(block) > 0.5) * np.uint8(255)

    images = split.images
    return split._replace(images=map_rows(cut, images, np.uint8, *images.shape[1:]))


def _draw_into(binary: np.ndarray, images: np.ndarray, draw: Callable) -> None:
    """Draws pixels as 0 or 255, in order and a block at a time."""
    for start, block in blocks(images):
        drawn = draw(to_unit(block)).astype(np.uint8)
        binary[start : start + len(block)] = drawn * np.uint8(255)


def to_unit(images: Any) -> np.ndarray:
    """Scales bytes to [0, 1]; leaves floating point as it is."""
    images = np.asarray(images)
    return images / 255.0 if images.dtype == np.uint8 else images


def is_drawn(split: Split) -> bool:
    """Says if the images are not stored but drawn at each look."""
    return isinstance(split.images, Sprites)


def pixels_to_check(split: Split) -> Any:
    """Returns all stored images, or some of those that are drawn all alike."""
    return np.asarray(split.images[:DRAWN]) if is_drawn(split) else split.images


def is_nearly_binary(split: Split) -> bool:
    """Whether pixels are black or white, but for smooth edges; see `NEARLY_BINARY`."""
    places = evenly_spaced(split.size, min(split.size, LOOKED_AT))
    pixels = to_unit(split.images[places])
    low, high, mean = pixels.min(), pixels.max(), float(pixels.mean())
    if low < 0 or high > 1 or not 0 < mean < 1:
        return 0 <= low <= high <= 1
    return 1 - float(pixels.var()) / (mean * (1 - mean)) < NEARLY_BINARY


def pixel_range(split: Split) -> tuple[float, float]:
    """Returns the least and the largest scaled pixel of `LOOKED_AT` images."""
    places = evenly_spaced(split.size, min(split.size, LOOKED_AT))
    pixels = to_unit(split.images[places])
    return float(pixels.min()), float(pixels.max())


def mean_image(split: Split) -> np.ndarray:
    """Returns the mean [H, W, C] of the scaled images, or of `MOST` of them evenly
    spaced; of each pixel over the images where it is not missing (nan)."""
    chosen = evenly_spaced(split.size, min(split.size, MOST))
    total, count = (np.zeros(split.images.shape[1:]) for _ in range(2))
    for start in range(0, len(chosen), BLOCK):
        pixels = to_unit(split.images[chosen[start : start + BLOCK]])
        total += np.nansum(pixels, 0)
        count += (~np.isnan(pixels)).sum(0)
    return total / np.maximum(count, 1)


def _check_unit_interval(split: Split, binarize: str) -> None:
    images = pixels_to_check(split)
    if images.dtype != np.uint8 and split.size:
        low, high = images.min(), images.max()
        if low < 0 or high > 1:
            raise UserError(
                f"dataset.binarize={binarize} needs pixels in [0, 1], but they range "
                f"from {low:.4g} to {high:.4g}; rescale the data, or use "
                "dataset.binarize=none with a Gaussian likelihood"
            )


def make_preprocess(binarize: str, dtype: jnp.dtype) -> Preprocess:
    """Returns `(images [B, H, W, C], keys [B]) -> [B, H, W, C]` of `dtype`, pure.

    Images that are not stored are drawn. uint8 pixels are divided by 255. With
    `dynamic`, every look at an image draws a new binarisation from its key.
    """

    def look(images: Any, keys: jax.Array) -> jax.Array:
        if isinstance(images, Sprites):
            images = images.draw(jax.vmap(lambda key: rng.named(key, "draw"))(keys))
        if binarize == "dynamic":
            return binarize_now(images, keys)
        return scale(images, dtype)

    def binarize_now(images: jax.Array, keys: jax.Array) -> jax.Array:
        return jax.vmap(_draw_pixels)(images, keys).astype(dtype)

    return look


def with_flips(preprocess: Preprocess, flip: str) -> Preprocess:
    """Returns `preprocess` of images that mirrors each with probability 1/2, for
    training: a key of `FLIPS`. With "none" it is `preprocess` itself.

    Whether an image is mirrored depends on its key only, and changes nothing else that
    is drawn from that.
    """
    axis = FLIPS[flip]
    if axis is None:
        return preprocess

    def look(images: Any, keys: jax.Array) -> jax.Array:
        x = preprocess(images, keys)
        coins = jax.vmap(lambda key: jax.random.bernoulli(rng.named(key, flip)))(keys)
        return jnp.where(coins[:, None, None, None], jnp.flip(x, axis), x)

    return look


def scale(images: jax.Array, dtype: Any) -> jax.Array:
    """`to_unit` inside a compiled program."""
    is_bytes = images.dtype == jnp.uint8
    return images.astype(dtype) / 255 if is_bytes else images.astype(dtype)


def _draw_pixels(image: jax.Array, key: jax.Array) -> jax.Array:
    """Draws one binary image, bool [H, W, C], from intensities.

    A byte is compared with a random byte, four of which come from one random word: a
    fourth of the cost of a float per pixel. The probability of pixel p is then
    (p + [p > 127]) / 256, which is 0 at 0, 1 at 255 and within 1/512 of p / 255.
    """
    if image.dtype != jnp.uint8:
        return jax.random.uniform(key, image.shape, image.dtype) < image
    words = jax.random.bits(key, ((image.size + 3) // 4,), jnp.uint32)
    bytes_ = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[: image.size]
    pixel = image.astype(jnp.uint16)
    return bytes_.reshape(image.shape).astype(jnp.uint16) < pixel + (pixel > 127)

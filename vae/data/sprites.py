"""dSprites drawn from its factors: a shape on a background, and nothing stored.

The geometry was fitted to 320 genuine 64x64 frames of dSprites (Matthey et al. 2017,
github.com/google-deepmind/dsprites-dataset), of whose 77,010 foreground pixels 166
differ. A pixel is on if its centre lies within the shape. Lengths are in pixels of a
64x64 image, and y points down.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from vae.data.factors import FactorSource
from vae.data.splits import Split

NAMES = ("shape", "scale", "orientation", "position_x", "position_y")
SIZES = (3, 6, 40, 32, 32)  # the last varies fastest; 737,280 images
KINDS = ("sprites", "color_sprites", "noisy_sprites")
SQUARE, ELLIPSE, HEART = range(3)
SCALES = np.linspace(0.5, 1, SIZES[1], dtype=np.float32)
# Both ends are there: the last orientation is the first.
ORIENTATIONS = np.linspace(0, 2 * np.pi, SIZES[2], dtype=np.float32)
POSITIONS = np.linspace(16, 48, SIZES[3], dtype=np.float32)
SIDE = 64
TEST_SIZE = 2_048
HALF_SQUARE = 9.6
HALF_AXES = (12.77, 7.21)  # of the ellipse
HEART_ABOVE = 2.0  # how far the heart's own centre is above the shape's
# The heart's radius at equally spaced angles from straight up to straight down.
# fmt: off
HEART_RADIUS = np.array(
    [
        3.48, 3.55, 3.81, 4.1, 4.41, 4.72, 5.04, 5.35, 5.66, 5.94, 6.22, 6.51,
        6.78, 7.02, 7.28, 7.49, 7.69, 7.89, 8.08, 8.27, 8.43, 8.58, 8.73, 8.86,
        9, 9.14, 9.26, 9.38, 9.49, 9.57, 9.65, 9.7, 9.75, 9.8, 9.84, 9.88,
        9.91, 9.95, 9.99, 10.02, 10.05, 10.09, 10.11, 10.11, 10.1, 10.08, 10.04, 10,
        9.98, 9.94, 9.88, 9.83, 9.76, 9.71, 9.65, 9.59, 9.52, 9.48, 9.38, 9.3,
        9.22, 9.13, 9.04, 8.95, 8.85, 8.76, 8.66, 8.56, 8.46, 8.38, 8.3, 8.22,
        8.15, 8.07, 8, 7.94, 7.88, 7.81, 7.75, 7.7, 7.65, 7.61, 7.56, 7.52,
        7.5, 7.48, 7.44, 7.43, 7.4, 7.39, 7.38, 7.36, 7.35, 7.34, 7.36, 7.38,
        7.4, 7.44, 7.48, 7.5, 7.55, 7.6, 7.65, 7.74, 7.82, 7.91, 8, 8.09,
        8.19, 8.33, 8.46, 8.6, 8.78, 8.98, 9.18, 9.39, 9.7, 10.01, 10.33, 10.68,
        10.94,
    ],
    np.float32,
)
# fmt: on
REACH = math.sqrt(2) * HALF_SQUARE  # of a square's corner, the furthest of all


@struct.dataclass
class Sprites:
    """An array of images [..., side, side, C] that are drawn when they are looked at.

    Indexing takes some of them; `numpy.asarray` and `draw` draw them.
    """

    factors: Any  # indices uint8 [..., 5], in the order of `NAMES`
    kind: str = struct.field(pytree_node=False, default="sprites")
    side: int = struct.field(pytree_node=False, default=SIDE)

    @property
    def shape(self) -> tuple[int, ...]:
        channels = 1 if self.kind == "sprites" else 3
        return (*self.factors.shape[:-1], self.side, self.side, channels)

    @property
    def dtype(self) -> Any:
        return np.dtype(np.uint8 if self.kind == "sprites" else np.float32)

    @property
    def nbytes(self) -> int:
        return self.factors.nbytes

    def __len__(self) -> int:
        return len(self.factors)

    def __getitem__(self, index: Any) -> "Sprites":
        return Sprites(self.factors[index], self.kind, self.side)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        # Each image by itself, however it is taken: its key is its place among all.
        places = np.ravel_multi_index(tuple(np.asarray(self.factors).T), SIZES)
        with jax.ensure_compile_time_eval():  # a prior takes examples while traced
            keys = jax.vmap(jax.random.key)(places)
            return np.array(_draw(self, keys), dtype, copy=copy)

    def draw(self, keys: jax.Array) -> jax.Array:
        """Returns the images [N, side, side, C] at this look, pure.

        Sprites are bytes of 0 and 255. Those of `color_sprites`, in [0, 1], have a
        colour uniform in [.5, 1]^3, and those of `noisy_sprites` lie on a background
        uniform in [0, 1], drawn anew from `keys` [N] at each look.

        References:
          Locatello et al. 2019, arXiv 1811.12359, app. on data sets.
        """
        shapes = jax.vmap(lambda factors: _draw_one(factors, self.side))(self.factors)
        if self.kind == "sprites":
            return shapes.astype(jnp.uint8) * np.uint8(255)
        shapes = shapes.astype(jnp.float32)
        if self.kind == "color_sprites":
            uniform = jax.vmap(lambda key: jax.random.uniform(key, (1, 1, 3)))(keys)
            return shapes * (0.5 + 0.5 * uniform)
        size = self.shape[-3:]
        return jnp.minimum(
            1.0, shapes + jax.vmap(lambda key: jax.random.uniform(key, size))(keys)
        )


_draw = jax.jit(Sprites.draw)


def all_sprites(kind: str = "sprites", side: int = SIDE) -> tuple[Split, Split]:
    """Returns all images but `TEST_SIZE`, and these, each in a fixed random order;
    labels are shapes."""
    indices = np.random.RandomState(0).permutation(math.prod(SIZES))
    factors = np.stack(np.unravel_index(indices, SIZES), -1).astype(np.uint8)
    test, train = np.split(factors, [TEST_SIZE])
    return _split_of(train, kind, side), _split_of(test, kind, side)


def sprites_by_factors(kind: str = "sprites", side: int = SIDE) -> FactorSource:
    """Returns what makes all images from their factors."""

    def stored(factors: np.ndarray) -> Sprites:
        return Sprites(factors.astype(np.uint8), kind, side)

    return FactorSource(NAMES, SIZES, stored)


def _split_of(factors: np.ndarray, kind: str, side: int) -> Split:
    return Split(Sprites(factors, kind, side), factors[:, 0].astype(np.int32))


def _draw_one(factors: jax.Array, side: int) -> jax.Array:
    """Returns which pixels are on, bool [side, side, 1], for factors [5]."""
    shape, scale, orientation, x, y = factors
    pixel = SIDE / side
    half = math.ceil(REACH / pixel) + 1  # of the window that the shape lies in
    size = min(side, 2 * half + 1)
    window = jnp.arange(size)
    centers = jnp.asarray(POSITIONS)[x], jnp.asarray(POSITIONS)[y]
    corner = [
        jnp.clip((center / pixel).astype(jnp.int32) - half, 0, side - size)
        for center in centers
    ]
    dx, dy = (
        ((first + window + 0.5) * pixel - center) / jnp.asarray(SCALES)[scale]
        for first, center in zip(corner, centers, strict=True)
    )
    angle = jnp.asarray(ORIENTATIONS)[orientation]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    u = cos * dx - sin * dy[:, None]
    v = sin * dx + cos * dy[:, None]
    inside = jnp.where(
        shape == SQUARE,
        _in_square(u, v),
        jnp.where(shape == ELLIPSE, _in_ellipse(u, v), _in_heart(u, v)),
    )
    canvas = jnp.zeros((side, side), bool)
    return jax.lax.dynamic_update_slice(canvas, inside, corner[::-1])[..., None]


def _in_square(u: jax.Array, v: jax.Array) -> jax.Array:
    return jnp.maximum(jnp.abs(u), jnp.abs(v)) <= HALF_SQUARE


def _in_ellipse(u: jax.Array, v: jax.Array) -> jax.Array:
    return (u / HALF_AXES[0]) ** 2 + (v / HALF_AXES[1]) ** 2 <= 1


def _in_heart(u: jax.Array, v: jax.Array) -> jax.Array:
    v = v + HEART_ABOVE
    last = len(HEART_RADIUS) - 1
    place = jnp.arctan2(jnp.abs(u), -v) * (last / jnp.pi)
    before = jnp.minimum(place.astype(jnp.int32), last - 1)
    table = jnp.asarray(HEART_RADIUS)
    radius = table[before] + (place - before) * (table[before + 1] - table[before])
    return jnp.hypot(u, v) <= radius

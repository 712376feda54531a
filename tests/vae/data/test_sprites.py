import itertools

import jax
import numpy as np
import pytest

from vae.data.preprocess import make_preprocess
from vae.data.sources import load
from vae.data.sprites import (
    ELLIPSE,
    HEART,
    HEART_RADIUS,
    KINDS,
    POSITIONS,
    SCALES,
    SIZES,
    SQUARE,
    Sprites,
)
from vae.types import UserError


def grid(**fixed: int) -> np.ndarray:
    """All factors whose fixed ones have these indices, [*sizes of the others, 5]."""
    names = ("shape", "scale", "orientation", "x", "y")
    values = [
        [fixed[name]] if name in fixed else range(size)
        for name, size in zip(names, SIZES, strict=True)
    ]
    free = [len(v) for v in values if len(v) > 1]
    return np.array([*itertools.product(*values)], np.uint8).reshape(*free, 5)


def draw(factors: np.ndarray, side: int = 64) -> np.ndarray:
    """Which pixels are on, bool [..., side, side]."""
    flat = np.asarray(Sprites(factors.reshape(-1, 5), side=side))
    assert set(np.unique(flat)) == {0, 255}
    return (flat[..., 0] > 0).reshape(*factors.shape[:-1], side, side)


AREAS = {
    SQUARE: 19.2**2,
    ELLIPSE: np.pi * 12.77 * 7.21,
    # Twice the integral of r^2 / 2 over half a turn; a chord of two radii cuts corners
    # by less than 1e-4 of it.
    HEART: np.trapezoid(HEART_RADIUS**2, dx=np.pi / 120),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("side", [64, 32])
@pytest.mark.parametrize("shape", AREAS)
def test_areas_scale_with_scale_squared(shape: int, side: int) -> None:
    """Over all 1,024 offsets against the grid of pixels the mean count is the area."""
    for scale, size in enumerate(SCALES):
        images = draw(grid(shape=shape, scale=scale, orientation=7), side)
        expected = AREAS[shape] * size**2 * (side / 64) ** 2
        np.testing.assert_allclose(images.mean((0, 1)).sum(), expected, rtol=0.01)


@pytest.mark.parametrize("side", [64, 50, 32, 16, 8])
@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE])
def test_positions_move_the_centroid_by_the_grid_step(shape: int, side: int) -> None:
    images = draw(grid(shape=shape, scale=5, orientation=3), side)  # [x, y, ., .]
    weights = images / images.sum((-2, -1), keepdims=True)
    pixels = (np.arange(side) + 0.5) * 64 / side
    # Of 290 pixels at 64, some 70 lie on the edge, about 9 away in this direction, and
    # are right to .29: a centroid is to .07, and the mean of 32 to .013. Edges have
    # side pixels, of 1 / side^2 each: the error grows with side^(-3/2).
    error = 0.07 * (64 / side) ** 1.5
    across, down = (weights.sum(axis) @ pixels for axis in (-2, -1))
    np.testing.assert_allclose(across, POSITIONS[:, None] + 0 * across, atol=5 * error)
    np.testing.assert_allclose(down, POSITIONS[None] + 0 * down, atol=5 * error)
    if side == 64:
        np.testing.assert_allclose(np.diff(across.mean(1)), 32 / 31, atol=0.08)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("shape", "axis"), [(SQUARE, -2), (ELLIPSE, -2), (HEART, -1)])
def test_turning_backwards_is_a_mirror_image(shape: int, axis: int) -> None:
    """Squares and ellipses are the same upside down, and a heart left and right."""
    factors = grid(shape=shape, scale=4)[:, ::5, ::5].reshape(-1, 5)
    mirrored = factors.copy()
    mirrored[:, 2] = SIZES[2] - 1 - factors[:, 2]
    place = 4 if axis == -2 else 3
    mirrored[:, place] = SIZES[place] - 1 - factors[:, place]
    images = draw(factors)
    differing = np.flip(draw(mirrored), axis) ^ images
    assert differing.sum() <= 1e-4 * images.sum()  # centres within rounding of an edge
    # Not every image is its own mirror image.
    assert (np.flip(images, axis) ^ images).any((1, 2)).mean() > 0.5


def test_a_whole_turn_ends_where_it_began() -> None:
    images = draw(grid(scale=2)[:, [0, -1], ::7, ::7])
    assert (images[:, 0] ^ images[:, 1]).sum() <= 1e-3 * images[:, 0].sum()


def test_a_heart_stands_upright() -> None:
    """At orientation 0 it is alike left and right, and wider above its centre."""
    image = draw(np.array([HEART, 5, 0, 0, 0], np.uint8))
    rows = image.sum(-1)
    assert rows[:16].sum() > rows[16:].sum()
    assert rows[rows > 0][-1] <= 3 < rows.max()


# Drawn pixel by pixel in plain numpy from the fitted geometry (the table of radii, the
# half axes and the rule of which way a shape turns), not by this code. From the pixel
# (11, 11) on, of orientation 10, a quarter turn and a bit, and 5.
TURNED = {
    (HEART, 0, 10, 0, 0): """
..##.....
.#####...
#######..
########.
.########
..#######
.#######.
#######..
.#####...
..###....""",
    (ELLIPSE, 0, 5, 0, 0): """
.....#####
....######
..########
..########
.#########
#########.
########..
########..
######....
#####.....""",
}


@pytest.mark.parametrize("factors", TURNED)
def test_shapes_turn_the_right_way(factors: tuple[int, ...]) -> None:
    rows = TURNED[factors].split()
    expected = np.zeros((64, 64), bool)
    expected[11 : 11 + len(rows), 11 : 11 + len(rows[0])] = [
        [pixel == "#" for pixel in row] for row in rows
    ]
    np.testing.assert_array_equal(draw(np.array(factors, np.uint8)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_images_are_drawn_one_by_one_however_they_are_taken(kind: str) -> None:
    train, test, *_ = load(f"{kind}:32")
    assert train.size + test.size == 737_280
    shape = (32, 32, 1 if kind == "sprites" else 3)
    assert train.images.shape[1:] == test.images.shape[1:] == shape
    together = np.concatenate([train.images.factors, test.images.factors])
    assert len(np.unique(together, axis=0)) == 737_280
    np.testing.assert_array_equal(test.labels, test.images.factors[:, 0])
    some = np.asarray(test.images[:20])
    np.testing.assert_array_equal(
        np.asarray(test[np.arange(9, 3, -1)].images), some[9:3:-1]
    )


@pytest.mark.parametrize("kind", ["color_sprites", "noisy_sprites"])
def test_variants_differ_at_each_look(kind: str) -> None:
    _, test, *_ = load(kind)
    plain = np.asarray(load("sprites")[1].images[:8]) > 0
    preprocess = jax.jit(make_preprocess("none", np.float32))
    looks = [
        np.asarray(preprocess(test.images[:8], jax.random.split(jax.random.key(i), 8)))
        for i in (0, 0, 1)
    ]
    np.testing.assert_array_equal(looks[0], looks[1])
    assert (looks[0] != looks[2]).any((1, 2, 3)).all()
    assert looks[0].shape == (8, 64, 64, 3)
    assert looks[0].min() >= 0
    assert looks[0].max() <= 1
    foreground, background = (
        looks[0][0][plain[0, ..., 0]],
        looks[0][0][~plain[0, ..., 0]],
    )
    if kind == "color_sprites":
        assert (background == 0).all()
        assert (foreground == foreground[0]).all()
        assert foreground.min() >= 0.5
    else:
        assert (foreground == 1).all()
        # Uniform: mean 1/2, standard error of 12,000 values .0026.
        assert abs(background.mean() - 0.5) < 5 * 0.0026


@pytest.mark.parametrize(
    "name", ["sprites:", "sprites:x", "sprites:7", "sprites:-64", "sprites:1e3"]
)
def test_a_side_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="whole number"):
        load(name)

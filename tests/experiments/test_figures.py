"""How images of any range, size and number of channels are shown."""

import numpy as np
import pytest

from experiments.figures import MOST_WIDTH, Display, display_of, make_grid
from vae.data.png import png_lengths
from vae.data.splits import Dataset, Split

RANDOM = np.random.default_rng(0)


def dataset_of(train: np.ndarray, test: np.ndarray) -> Dataset:
    return Dataset(Split(train, None), Split(train[:0], None), Split(test, None))


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        (np.zeros(3, np.uint8), np.full(3, 9, np.uint8), Display()),
        (np.array([0.2, 0.7]), np.array([0.0, 0.9]), Display()),
        (np.array([-1.0, 0.5]), np.array([-0.5, 0.75]), Display(-1, 0.75)),
        (np.array([0.0, 255.0]), np.array([3.0]), Display(0, 255)),
        (np.array([7.0, 7.0]), np.array([7.0]), Display(7, 8)),
    ],
)
def test_the_data_decide_what_is_black_and_white(
    train: np.ndarray, test: np.ndarray, expected: Display
) -> None:
    images = (array[:, None, None, None] for array in (train, test))
    assert display_of(dataset_of(*images)) == expected


def test_pixels_from_minus_one_to_one_are_shown_as_those_from_0_to_1() -> None:
    bytes_ = RANDOM.integers(0, 256, (6, 5, 4, 1), np.uint8)
    signed, display = bytes_ / 127.5 - 1, Display(-1, 1)
    np.testing.assert_array_equal(display.tiles(signed), bytes_)
    lengths = png_lengths(display(signed))
    np.testing.assert_array_equal(lengths, png_lengths(bytes_ / 255))
    assert "from -1 (black) to 1 (white)" in display.describe(1)
    assert Display().describe(3) == ""


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_channels_stand_side_by_side(channels: int) -> None:
    images = RANDOM.integers(0, 2, (3, 4, 6, channels)).astype(float)
    tiles = Display().tiles(images)
    assert tiles.shape == (3, 4, 6 * channels, 1)
    for channel in range(channels):
        tile = tiles[:, :, 6 * channel : 6 * (channel + 1), 0]
        np.testing.assert_array_equal(tile, 255 * images[..., channel])
    assert f"{channels} channels" in Display().describe(channels)


@pytest.mark.parametrize(
    "shape", [(1, 1, 30, 1), (2, 30, 1, 1), (128, 1, 1, 3), (9, 2, 900, 1)]
)
def test_a_grid_of_any_size_can_be_looked_at(shape: tuple[int, ...]) -> None:
    picture = make_grid(np.zeros(shape), Display())
    assert 500 <= picture.width <= 1.1 * MOST_WIDTH
    assert picture.height <= 4_000


def test_large_images_shrink_by_means_of_blocks() -> None:
    image = np.tile([[0.0, 1.0], [1.0, 0.0]], (2, MOST_WIDTH))[None, ..., None]
    pixels = np.asarray(make_grid(image, Display(), columns=1))
    assert set(np.unique(pixels[2:-2, 2:-2])) == {128}

import numpy as np
import pytest

from vae.data.splits import Dataset, Split, content_hash, evenly_spaced
from vae.data.sprites import Sprites


@pytest.mark.parametrize(
    ("size", "count", "expected"),
    [
        (7, 2, [0, 6]),
        (7, 4, [0, 2, 4, 6]),
        (7, 7, [*range(7)]),
        (2, 4, [0, 0, 1, 1]),
    ],
)
def test_evenly_spaced_takes_the_first_and_the_last(
    size: int, count: int, expected: list[int]
) -> None:
    np.testing.assert_array_equal(evenly_spaced(size, count), expected)


def test_how_images_are_drawn_is_a_part_of_the_data() -> None:
    factors = np.zeros((3, 5), np.uint8)
    splits = [
        Split(images, np.zeros(3, np.int32))
        for images in (
            Sprites(factors),
            Sprites(factors, side=32),
            Sprites(factors, kind="color_sprites"),
            Sprites(factors + np.uint8(1)),
        )
    ]
    hashes = [content_hash(Dataset(split, split, split)) for split in splits]
    assert len(set(hashes)) == len(hashes)
    assert content_hash(Dataset(splits[0], splits[0], splits[0])) == hashes[0]

import numpy as np

from vae.data.bars import PROBABILITY, SIDE, bars
from vae.data.sources import load


def test_pixels_are_on_as_often_as_bars_cross_them() -> None:
    train, test, *_ = load("bars")
    assert (train.size, test.size, train.images.shape[1:]) == (8_000, 2_000, (8, 8, 1))
    on = train.images[..., 0] == 255
    assert (on | (train.images[..., 0] == 0)).all()
    expected = 1 - (1 - PROBABILITY) ** 2
    # Pixels of a row share a bar: the deviation of an image's mean is at most .5.
    np.testing.assert_allclose(on.mean(), expected, atol=5 * 0.5 / np.sqrt(len(on)))


def test_every_image_is_the_union_of_its_whole_bars() -> None:
    on = bars()[0].images[..., 0] == 255
    rows, columns = on.all(axis=2), on.all(axis=1)
    np.testing.assert_array_equal(rows[:, :, None] | columns[:, None, :], on)
    # With one column on, a row is on where its bar is: whole rows are as frequent.
    assert abs(rows.mean() - PROBABILITY) < 5 * np.sqrt(PROBABILITY / rows.size) + 1e-3
    assert rows.shape == columns.shape == (8_000, SIDE)


def test_the_images_are_always_the_same() -> None:
    np.testing.assert_array_equal(bars()[1].images, bars()[1].images)

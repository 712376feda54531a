import numpy as np
import pytest

from vae.latents import neighbours
from vae.latents.neighbours import nearest


@pytest.mark.parametrize("block", [1, 7, 100])
def test_neighbours_are_those_of_brute_force(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", block)
    random = np.random.default_rng(0)
    training = random.integers(0, 256, (50, 4, 3, 2), np.uint8)
    samples = random.random((9, 4, 3, 2), np.float32)
    places, distances = nearest(samples, training, 5)
    pixels = training / 255
    all_distances = np.sqrt(((samples[:, None] - pixels) ** 2).sum(axis=(2, 3, 4)))
    np.testing.assert_array_equal(places, all_distances.argsort(axis=1)[:, :5])
    np.testing.assert_allclose(distances, np.sort(all_distances, axis=1)[:, :5])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_training_image_finds_itself(dtype: str) -> None:
    training = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    if dtype == "float32":
        training = training.astype("f4") / 255
    places, distances = nearest(training[::3], training, 2)
    np.testing.assert_array_equal(places[:, 0], np.arange(40)[::3])
    np.testing.assert_allclose(distances[:, 0], 0, atol=1e-6)
    assert (distances[:, 1] > 1).all()


def test_no_more_neighbours_than_images() -> None:
    training = np.eye(3).reshape(3, 3, 1, 1)
    places, distances = nearest(training[:1], training, 5)
    np.testing.assert_array_equal(np.sort(places), [[0, 1, 2]])
    np.testing.assert_allclose(distances, [[0, 2**0.5, 2**0.5]])

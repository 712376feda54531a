import numpy as np
import pytest

from vae.data.png import png_lengths


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_noise_is_longer_than_a_flat_image(channels: int) -> None:
    noise = np.random.default_rng(0).random((1, 28, 28, channels))
    flat, noisy = png_lengths(np.concatenate([np.zeros_like(noise), noise]))
    # Bytes that are noise cannot be compressed.
    assert noisy >= 28 * 28 * channels * 8 * np.log(2) > 5 * flat

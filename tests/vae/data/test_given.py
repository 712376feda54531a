import jax.numpy as jnp
import numpy as np
import pytest

from vae.data.given import as_stored

BYTES, FLOATS = np.dtype(np.uint8), np.dtype(np.float32)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 2, 2, 1), np.uint8)


def test_a_model_of_bytes_takes_shares_of_one() -> None:
    for same in (IMAGES, jnp.asarray(IMAGES), IMAGES / 255):
        np.testing.assert_array_equal(as_stored(same, (2, 2, 1), BYTES), same)
    binary = as_stored(IMAGES > 99, (2, 2, 1), BYTES)
    np.testing.assert_array_equal(binary, (IMAGES > 99) * np.uint8(255))
    assert binary.dtype == np.uint8


@pytest.mark.parametrize("other", [IMAGES.astype(int), IMAGES / 1.0, IMAGES / 255 - 1])
def test_a_model_of_bytes_does_not_take_255_for_a_number(other: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be bytes .uint8., or floats in"):
        as_stored(other, (2, 2, 1), BYTES)


def test_a_model_of_floats_takes_numbers() -> None:
    with pytest.raises(ValueError, match="must be floats, scaled as"):
        as_stored(IMAGES, (2, 2, 1), FLOATS)
    rows = as_stored(np.arange(6).reshape(3, 2), (2,), FLOATS)
    np.testing.assert_array_equal(rows, np.arange(6, dtype=np.float32).reshape(3, 2))
    assert rows.dtype == np.float32
    with pytest.raises(ValueError, match=r"x must be \[N, 3\], but is \[3, 2\]"):
        as_stored(rows, (3,), FLOATS)

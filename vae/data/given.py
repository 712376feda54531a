"""Examples that a user gives to a trained model."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from vae.types import Array, is_image


def as_stored(x: Array, event_shape: Sequence[int], dtype: np.dtype) -> Array:
    """Returns examples as those of training are stored: bytes, or floats.

    Args:
      x: [N, *event_shape]; bool, bytes, or numbers.
      event_shape: of an example of training.
      dtype: of the examples of training.

    Raises:
      ValueError: they are of another shape or type.
    """
    shape = np.shape(x)
    if shape[1:] != event_shape or not shape[0]:
        wanted = ", ".join(map(str, event_shape))
        raise ValueError(f"x must be [N, {wanted}], but is {list(shape)}")
    x = x if isinstance(x, jax.Array) else np.asarray(x)
    if x.dtype == bool:
        scale = 255 if dtype == np.uint8 else 1
        return x.astype(dtype) * dtype.type(scale)
    if x.dtype == dtype:
        return x
    is_float = jnp.issubdtype(x.dtype, jnp.floating)
    if dtype != np.uint8 and (is_float or not is_image(event_shape)):
        return x.astype(dtype)  # integers of vectors are numbers
    if dtype == np.uint8 and is_float and not _exceeds_one(x):
        return x
    needs = "x must be bytes (uint8), or floats in [0, 1]"
    if dtype != np.uint8:
        needs = "x must be floats, scaled as the training data were"
    held = f"{x.dtype} beyond [0, 1]" if is_float else f"{x.dtype}"
    raise ValueError(f"{needs}, but is {held}")


def check_label(label: Any, num_labels: int | None) -> None:
    """Refuses labels that the model does not know.

    Raises:
      ValueError: it needs none, or needs one; or a label is no integer from 0 to
        num_labels - 1.
    """
    if isinstance(label, Tracer) or (label is None and num_labels is None):
        return
    if label is None:
        raise ValueError("the model is conditional: give label=")
    if num_labels is None:
        raise ValueError("the model is not conditional: leave the label out")
    given = np.atleast_1d(np.asarray(label))
    is_wrong = np.ones(given.shape, bool)
    if np.issubdtype(given.dtype, np.integer):
        is_wrong = (given < 0) | (given >= num_labels)
    if is_wrong.any():
        raise ValueError(
            f"labels must be integers from 0 to {num_labels - 1}, but label "
            f"{np.flatnonzero(is_wrong)[0]} is {given[is_wrong][0]!s}"
        )


def _exceeds_one(x: Array) -> bool:
    """Whether values are outside [0, 1]; those that are being traced are not known."""
    return not isinstance(x, Tracer) and bool((x.min() < 0) | (x.max() > 1))

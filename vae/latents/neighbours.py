"""The training images closest to samples: are these new, or remembered?"""

import numpy as np

from vae.data.preprocess import to_unit

BLOCK = 4096  # training images held in float64 at once


def nearest(
    samples: np.ndarray, training: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the `count` training images [M, H, W, C] nearest to each sample
    [N, H, W, C] by the Euclidean distance of their pixels, scaled to [0, 1] if they are
    bytes. All are compared, in float64; N x BLOCK distances are held at once.

    Returns:
      Places in `training`, int [N, count], the nearest first, and distances [N, count].
    """
    pixels = _flatten(samples)
    places = np.empty((len(pixels), 0), int)
    squares = np.empty((len(pixels), 0))
    for start in range(0, len(training), BLOCK):
        block = _flatten(training[start : start + BLOCK])
        here = np.broadcast_to(start + np.arange(len(block)), (len(pixels), len(block)))
        places = np.concatenate([places, here], axis=1)
        squares = np.concatenate([squares, _squared_distances(pixels, block)], axis=1)
        least = min(count, squares.shape[1])
        chosen = np.argpartition(squares, least - 1, axis=1)[:, :least]
        places, squares = (np.take_along_axis(a, chosen, 1) for a in (places, squares))
    order = np.argsort(squares, axis=1)
    places, squares = (np.take_along_axis(a, order, 1) for a in (places, squares))
    return places, np.sqrt(squares)


def _flatten(images: np.ndarray) -> np.ndarray:
    return to_unit(images).astype(np.float64).reshape(len(images), -1)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns [N, M] of a [N, P] and b [M, P]."""
    norms = [np.einsum("ij,ij->i", x, x) for x in (a, b)]
    squares = norms[0][:, None] + norms[1] - 2 * a @ b.T
    return np.maximum(squares, 0)  # rounding may leave less

"""Latent spaces as pictures: codes in the plane, and what a plane of codes shows."""

import warnings
from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from vae.types import Array


def principal_components(codes: np.ndarray) -> np.ndarray:
    """Returns the coordinates [N, 2] of codes [N, D], D > 1, along the two orthogonal
    directions in which they vary most, from their mean."""
    from sklearn.decomposition import PCA  # takes a second to import

    return PCA(2, svd_solver="full").fit_transform(codes)


def umap(codes: np.ndarray, seed: int) -> np.ndarray:
    """Embeds codes [N, D] in the plane [N, 2] so that neighbours stay neighbours.

    The first call of a process compiles for 10 seconds, and for a minute from 4,096
    codes on, of which neighbours are found by a search.

    References:
      McInnes et al. 2018, arXiv 1802.03426.
    """
    with warnings.catch_warnings():
        # Of a part of umap that is not used here.
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        from umap import UMAP  # takes seconds to import

    # What has a seed runs in one thread: umap warns if that is not said.
    return UMAP(random_state=seed, n_jobs=1).fit_transform(codes)


def decoded_manifold(
    decode: Callable[[np.ndarray], Array], side: int, quantiles: tuple[float, float]
) -> Array:
    """Returns the images [side, side, H, W, C] of a latent space with D = 2, laid out
    as the plane is drawn: dimension 0 grows to the right, dimension 1 upwards.

    The codes are the standard normal's quantiles at evenly spaced probabilities, from
    the lowest to the highest of `quantiles`, both between 0 and 1.

    References:
      Kingma & Welling 2013, arXiv 1312.6114, fig. 4.
    """
    places = ndtri(np.linspace(*quantiles, side))
    right, up = np.meshgrid(places, places[::-1])
    images = decode(np.stack([right, up], axis=-1).reshape(-1, 2))
    return images.reshape(side, side, *images.shape[1:])

"""The aggregate posterior q(z) = E_x q(z | x): its codes, and a density of them."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpyro.distributions import (
    Categorical,
    MixtureSameFamily,
    MultivariateNormal,
)

from vae import rng
from vae.data.splits import Split
from vae.models.base import Model
from vae.types import Distribution, Inference, Params

FITTED_CODES = 10_000  # to so many codes at most a density is fitted


def infer_stored(
    model: Model,
    variables: Params,
    preprocess: Callable[[jax.Array, jax.Array], jax.Array],
    stored: Split,
    positions: jax.Array,
    key: jax.Array,
) -> tuple[jax.Array, Inference]:
    """Returns stored images as the model sees them, x [B, H, W, C], and what it infers
    by one sample. Both depend on `key` and an image's position only."""
    keys = rng.per_example(rng.named(key, "preprocess"), positions)
    x = preprocess(stored.images, keys)
    keys = rng.per_example(rng.named(key, "latent"), positions)
    return x, model.apply(variables, x, keys, label=stored.labels)


def fit_gaussian_mixture(
    codes: np.ndarray, num_components: int, seed: int
) -> Distribution:
    """Fits a mixture of Gaussians with full covariances to codes [N, D].

    References:
      Ghosh et al. 2020, arXiv 1903.12436, sec. 4 (ex-post density estimation).
    """
    from sklearn.mixture import GaussianMixture  # takes a second to import

    mixture: Any = GaussianMixture(num_components, random_state=seed)
    mixture.fit(codes.astype(np.float64))
    dtype = codes.dtype
    return MixtureSameFamily(
        Categorical(probs=mixture.weights_.astype(dtype)),
        MultivariateNormal(
            mixture.means_.astype(dtype),
            covariance_matrix=mixture.covariances_.astype(dtype),
        ),
    )

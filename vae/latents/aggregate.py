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
from vae.types import Distribution, Params

BATCH = 500


def sample_codes(
    model: Model,
    params: Params,
    preprocess: Callable[[jax.Array, jax.Array], jax.Array],
    split: Split,
    key: jax.Array,
) -> np.ndarray:
    """Returns a code [N, D] drawn from q(z | x) for each image of a split."""

    @jax.jit
    def codes_of(params: Params, stored: Split, positions: jax.Array) -> jax.Array:
        keys = rng.per_example(rng.named(key, "preprocess"), positions)
        x = preprocess(stored.images, keys)
        keys = rng.per_example(rng.named(key, "latent"), positions)
        inference = model.apply({"params": params}, x, keys, label=stored.labels)
        return inference.groups[0].z[0]

    parts = []
    for start in range(0, split.size, BATCH):
        positions = np.arange(start, start + BATCH)
        stored = split[np.minimum(positions, split.size - 1)]  # pads the end
        part = jax.device_get(codes_of(params, stored, positions.astype(np.int32)))
        parts.append(part[: split.size - start])
    return np.concatenate(parts)


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

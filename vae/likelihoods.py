"""Likelihoods p(x | z): normalised densities over the support of the data.

A likelihood turns the decoder's features [..., H, W, C * features_per_channel] into a
distribution, and says on which pixels it is a density: data outside its support is
refused before training, for then neither the ELBO nor beta would mean anything.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from numpyro.distributions import BernoulliLogits, Distribution, Independent, Normal

from vae.posteriors import at_least_float32

MEAN_BOUNDS = (0.001, 0.999)  # of the training mean, as in Burda et al.'s own code


class Bernoulli(nn.Module):
    """Binary pixels, parameterised by logits (finite with finite gradients at any)."""

    features_per_channel = 1
    support = "pixels that are 0 or 1 (choose a dataset.binarize other than none)"

    def __call__(self, features: jax.Array) -> Distribution:
        """Returns a distribution over [H, W, C] with the features' leading shape."""
        (logits,) = at_least_float32(features)
        return Independent(BernoulliLogits(logits), 3)

    @staticmethod
    def supports(pixels: np.ndarray) -> bool:
        return bool(np.isin(pixels, (0, 1)).all())

    @staticmethod
    def features_of_mean(mean: np.ndarray) -> np.ndarray:
        """Returns the logits at which the mean image is `mean`."""
        mean = np.clip(mean, *MEAN_BOUNDS)
        return np.log(mean / (1 - mean))


class Gaussian(nn.Module):
    """Real pixels with one fixed standard deviation, in units of the scaled pixel."""

    scale: float
    dtype: Any = jnp.float32
    features_per_channel = 1
    support = "finite real pixels"

    def __call__(self, features: jax.Array) -> Distribution:
        """Returns a distribution over [H, W, C] with the features' leading shape."""
        (mean,) = at_least_float32(features)
        return Independent(Normal(mean, jnp.full_like(mean, self.scale)), 3)

    @staticmethod
    def supports(pixels: np.ndarray) -> bool:
        return bool(np.isfinite(pixels).all())

    @staticmethod
    def features_of_mean(mean: np.ndarray) -> np.ndarray:
        """Returns the features at which the mean image is `mean`."""
        return mean

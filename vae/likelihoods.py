"""Likelihoods p(x | z): normalised densities over the support of the data.

A likelihood turns the decoder's features [..., H, W, C * features_per_channel] into a
distribution, and says on which pixels it is a density: data outside its support is
refused before training, for then neither the ELBO nor beta would mean anything.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions
from flax import linen as nn
from numpyro.distributions import BernoulliLogits, Normal

from vae.layers import at_least_float32
from vae.types import Distribution

MEAN_BOUNDS = (0.001, 0.999)  # of the training mean, as in Burda et al.'s own code


class PixelDistribution(numpyro.distributions.Distribution):
    """Independent pixels, held on one flat axis and seen as images [H, W, C].

    Flat, because XLA on CPU vectorises the innermost axis, which for grey images would
    have size one: densities are six times faster this way.
    """

    pytree_data_fields = ("flat",)
    pytree_aux_fields = ("image_shape",)

    def __init__(self, flat: Distribution, image_shape: tuple[int, ...]):
        """Takes the pixels' distribution, of batch shape [..., H * W * C]."""
        self.flat, self.image_shape = flat, image_shape
        super().__init__(flat.batch_shape[:-1], image_shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of images [..., H, W, C], in nats."""
        return self.flat.log_prob(value.reshape(*value.shape[:-3], -1)).sum(-1)

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns images [*sample_shape, ..., H, W, C]."""
        return self._as_images(self.flat.sample(key, sample_shape))

    @property
    def mean(self) -> jax.Array:
        """The mean images [..., H, W, C]."""
        return self._as_images(self.flat.mean)

    def _as_images(self, flat: jax.Array) -> jax.Array:
        return flat.reshape(*flat.shape[:-1], *self.image_shape)


def _flatten(features: jax.Array) -> tuple[jax.Array, tuple[int, ...]]:
    """Returns features [..., H * W * C], at least float32, and the shape [H, W, C]."""
    (features,) = at_least_float32(features)
    return features.reshape(*features.shape[:-3], -1), features.shape[-3:]


class StableBernoulli(BernoulliLogits):
    """numpyro's distribution with the right gradient, x - 1/2, at a logit of zero too
    (its own clips there, and gives x or x - 1)."""

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p(value) in nats, elementwise."""
        return value * self.logits - jax.nn.softplus(self.logits)


class Bernoulli(nn.Module):
    """Binary pixels, parameterised by logits (finite with finite gradients at any)."""

    features_per_channel = 1
    is_discrete = True
    support = "pixels that are 0 or 1 (choose a dataset.binarize other than none)"

    def __call__(self, features: jax.Array) -> Distribution:
        """Returns a distribution over [H, W, C] with the features' leading shape."""
        logits, image_shape = _flatten(features)
        return PixelDistribution(StableBernoulli(logits), image_shape)

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
    features_per_channel = 1
    is_discrete = False
    support = "finite real pixels"

    def __call__(self, features: jax.Array) -> Distribution:
        """Returns a distribution over [H, W, C] with the features' leading shape."""
        mean, image_shape = _flatten(features)
        scale = jnp.full_like(mean, self.scale)
        return PixelDistribution(Normal(mean, scale), image_shape)

    @staticmethod
    def supports(pixels: np.ndarray) -> bool:
        return bool(np.isfinite(pixels).all())

    @staticmethod
    def features_of_mean(mean: np.ndarray) -> np.ndarray:
        """Returns the features at which the mean image is `mean`."""
        return mean

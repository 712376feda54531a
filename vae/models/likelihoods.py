"""Likelihoods p(x | z): normalised densities over the support of the data.

A likelihood turns the decoder's features into a distribution over images, and says on
which pixels it is a density: data outside its support is refused before training, for
then neither the ELBO nor beta would mean anything. Log-densities are in nats.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from numpyro.distributions import Normal

from vae.distributions.pixels import (
    TOP_LEVEL,
    ByteCategorical,
    ByteLogistic,
    ByteLogisticMixture,
    ContinuousBernoulliLogits,
    PixelDistribution,
    StableBernoulli,
    centers_of_mean,
    logits_of_mean,
)
from vae.fields import Count, Positive
from vae.models.base import Likelihood
from vae.nn.layers import at_least_float32, ema
from vae.types import Distribution

MEAN_BOUNDS = (0.001, 0.999)  # of the training mean, as in Burda et al.'s own code
# About that of a byte's rounding error, 1 / (12 255^2): less would describe no data.
MIN_VARIANCE = 1e-6
# From below as in PixelCNN++: exp(-7) for pixels in [-1, 1], a ninth of a level. From
# above because a scale of exp(2) is already flat over [0, 1].
LOG_SCALE_BOUNDS = (-7 - math.log(2), 2.0)
INITIAL_LOGISTIC_SCALE = 0.1


class PixelLikelihood(Likelihood):
    """Pixels independent given z; subclasses say how one is distributed."""

    def __call__(self, features: jax.Array, *, event_dim: int) -> Distribution:
        """Returns p(x | z), batch shape [...], event shape [H, W, C] or [D].

        Args:
          features: [..., H, W, C * features_per_channel], channel-major: feature j of
            channel c has the index c * features_per_channel + j. Of vectors, whose
            channels are their columns: [..., D * features_per_channel].
          event_dim: axes of an event: 3 for images, 1 for vectors.
        """
        (features,) = at_least_float32(features)
        start = features.ndim - event_dim
        batch, (*size, channels) = features.shape[:start], features.shape[start:]
        event_shape = (*size, channels // self.features_per_channel)
        flat = features.reshape(*batch, -1, self.features_per_channel)
        return PixelDistribution(self.pixels(flat), event_shape)

    def pixels(self, features: jax.Array) -> Distribution:
        """Maps features [..., N, features_per_channel] to a batch [..., N]."""
        raise NotImplementedError


class Bernoulli(PixelLikelihood):
    """Binary pixels, parameterised by logits (finite with finite gradients at any)."""

    is_discrete = True
    support = "pixels that are 0 or 1"

    def pixels(self, features: jax.Array) -> Distribution:
        return StableBernoulli(features[..., 0])

    @staticmethod
    def supports(pixels: np.ndarray) -> bool:
        return bool(np.isin(pixels, (0, 1)).all())

    @staticmethod
    def features_of_mean(mean: np.ndarray) -> np.ndarray:
        """Returns the logits at which the mean image is `mean`."""
        mean = np.clip(mean, *MEAN_BOUNDS)
        return np.log(mean / (1 - mean))


class ContinuousBernoulli(PixelLikelihood):
    """Pixels between 0 and 1, by logits: the Bernoulli formula, normalised on [0, 1].

    References:
      Loaiza-Ganem & Cunningham 2019, arXiv 1907.06845.
    """

    is_discrete = False
    support = "pixels in [0, 1]"

    def pixels(self, features: jax.Array) -> Distribution:
        return ContinuousBernoulliLogits(features[..., 0])

    @staticmethod
    def supports(pixels: np.ndarray) -> bool:
        return bool(((pixels >= 0) & (pixels <= 1)).all())

    @staticmethod
    def features_of_mean(mean: np.ndarray) -> np.ndarray:
        """Returns the logits at which the mean image is `mean`, if in [0.01, 0.99];
        beyond, they grow as 1 / mean, too far for a bias to come back from."""
        return logits_of_mean(mean, limit=100)


class RealPixels(PixelLikelihood):
    """What the Gaussians have in common; the first feature is the mean."""

    is_discrete = False
    support = "finite real pixels"

    @staticmethod
    def supports(pixels: np.ndarray) -> bool:
        return bool(np.isfinite(pixels).all())

    @staticmethod
    def features_of_mean(mean: np.ndarray) -> np.ndarray:
        """Returns the features at which the mean image is `mean`."""
        return mean


class Gaussian(RealPixels):
    """Real pixels with one fixed standard deviation, in units of the scaled pixel."""

    scale: Positive = 0.1

    def pixels(self, features: jax.Array) -> Distribution:
        return Normal(features[..., 0], self.scale)


class GaussianShared(RealPixels):
    """Real pixels with one standard deviation, learned by gradient descent.

    References:
      Rybkin et al. 2020, arXiv 2006.13202 ("shared sigma-VAE").
    """

    initial_scale: float = 1.0

    @nn.compact
    def pixels(self, features: jax.Array) -> Distribution:
        init = nn.initializers.constant(math.log(self.initial_scale))
        log_scale = self.param("log_scale", init, (), float)
        return Normal(features[..., 0], jnp.exp(log_scale))


class GaussianOptimal(RealPixels):
    """Real pixels with one variance, kept where it is best: at the mean squared error.

    The paper takes the error of the minibatch at hand, but a density must not depend on
    the image it scores: here it is a moving average over minibatches, which only
    `ema_loss` moves. The density uses no variance below `MIN_VARIANCE`.

    References:
      Rybkin et al. 2020, arXiv 2006.13202 ("optimal sigma-VAE").
    """

    def setup(self) -> None:
        ones = nn.initializers.ones
        self.average_variance = self.param("average_variance", ones, (), float)

    def pixels(self, features: jax.Array) -> Distribution:
        variance = jax.lax.stop_gradient(self.average_variance)
        scale = jnp.sqrt(jnp.maximum(variance, MIN_VARIANCE))
        return Normal(features[..., 0], scale)

    def ema_loss(
        self, likelihood: Distribution, x: jax.Array, keys: jax.Array
    ) -> jax.Array:
        """See `Likelihood`; no key is used."""
        return ema(self.average_variance, ((x - likelihood.mean) ** 2).mean())


class GaussianPerPixel(RealPixels):
    """Real pixels, each with a mean and a log-variance of its own.

    `MIN_VARIANCE` bounds the variance smoothly: at pixels that hardly vary the
    likelihood would else grow for ever as the variance shrinks.

    References:
      Mattei & Frellsen 2018, arXiv 1802.04826 (likelihoods without maximum).
    """

    features_per_channel = 2

    def pixels(self, features: jax.Array) -> Distribution:
        log_variance = at_least(features[..., 1], math.log(MIN_VARIANCE))
        return Normal(features[..., 0], jnp.exp(log_variance / 2))

    @staticmethod
    def features_of_mean(mean: np.ndarray) -> np.ndarray:
        """Returns the features at which the mean image is `mean`, the variances 1."""
        return join(mean[..., None], np.zeros((*mean.shape, 1)))


class Bytes(PixelLikelihood):
    """What the likelihoods over 256 levels have in common."""

    is_discrete = True
    support = "pixels k / 255, k = 0 ... 255 (choose dataset.binarize=none)"

    @staticmethod
    def supports(pixels: np.ndarray) -> bool:
        levels = TOP_LEVEL * pixels
        is_level = np.abs(np.round(levels) - levels) < 1e-3
        return bool((is_level & (pixels >= 0) & (pixels <= 1)).all())


class DiscretizedLogistic(Bytes):
    """Bytes, each with a location and a log-scale of its own in units of [0, 1].

    `LOG_SCALE_BOUNDS` bounds the log-scale smoothly. The `mean` is right to 1 / 510.

    References:
      Kingma et al. 2016, arXiv 1606.04934, appendix.
    """

    features_per_channel = 2

    def pixels(self, features: jax.Array) -> Distribution:
        return ByteLogistic(features[..., 0], bounded_log_scale(features[..., 1]))

    @staticmethod
    def features_of_mean(mean: np.ndarray) -> np.ndarray:
        """Returns features at which the mean image is `mean`, the scales 0.1."""
        return join(*components_of_mean(mean, 1))


class MixtureOfDiscretizedLogistics(Bytes):
    """Bytes, each with a mixture of `DiscretizedLogistic` of its own.

    Given z, channels are independent; those of PixelCNN++ condition on each other.

    References:
      Salimans et al. 2017, arXiv 1701.05517, eq. 2.
    """

    num_components: Count = 10

    @property
    def features_per_channel(self) -> int:
        """Logits, then locations, then log-scales of the components."""
        return 3 * self.num_components

    def pixels(self, features: jax.Array) -> Distribution:
        logits, loc, raw = jnp.split(features.swapaxes(-1, -2), 3, axis=-2)
        return ByteLogisticMixture(logits, ByteLogistic(loc, bounded_log_scale(raw)))

    def features_of_mean(self, mean: np.ndarray) -> np.ndarray:
        """Returns features at which the mean image is `mean`, the weights equal."""
        loc, log_scale = components_of_mean(mean, self.num_components)
        return join(np.zeros_like(loc), loc, log_scale)


class Categorical256(Bytes):
    """Bytes, each with a softmax over the 256 levels: any distribution, not smooth.

    References:
      van den Oord et al. 2016, arXiv 1601.06759, sec. 3.
    """

    features_per_channel = TOP_LEVEL + 1

    def pixels(self, features: jax.Array) -> Distribution:
        return ByteCategorical(features)

    @staticmethod
    def features_of_mean(mean: np.ndarray) -> np.ndarray:
        """Returns the logits of a continuous Bernoulli, which has the most entropy at
        the mean image `mean`; on levels that is right to 1 / 510."""
        slopes = ContinuousBernoulli.features_of_mean(mean)
        return join(slopes[..., None] * np.arange(TOP_LEVEL + 1) / TOP_LEVEL)


def components_of_mean(mean: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns locations and log-scales [..., count] of logistics of equal weight that
    have this mean [...]. They differ, because equal ones would have equal gradients."""
    steps = 2 * (np.arange(count) + 0.5) / count - 1
    offsets = 2 * INITIAL_LOGISTIC_SCALE * steps
    loc = centers_of_mean(mean, offsets, INITIAL_LOGISTIC_SCALE) + offsets
    return loc, np.full_like(loc, math.log(INITIAL_LOGISTIC_SCALE))


def bounded_log_scale(x: jax.Array) -> jax.Array:
    """Keeps log-scales within `LOG_SCALE_BOUNDS`, smoothly."""
    return -at_least(-at_least(x, LOG_SCALE_BOUNDS[0]), -LOG_SCALE_BOUNDS[1])


def at_least(x: jax.Array, bound: float) -> jax.Array:
    """A smooth maximum of x and the bound."""
    return bound + jax.nn.softplus(x - bound)


def join(*parameters: np.ndarray) -> np.ndarray:
    """Parameters [..., C, n] of each channel as features [..., C * sum of n]."""
    joined = np.concatenate(parameters, -1)
    return joined.reshape(*joined.shape[:-2], -1)

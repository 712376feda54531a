"""The likelihood of colour images whose channels depend on each other."""

import jax
import jax.numpy as jnp
import numpy as np

from vae.distributions.rgb import RGBLogisticMixture, RGBParameters
from vae.fields import Count
from vae.models.likelihoods import Bytes, bounded_log_scale, components_of_mean
from vae.nn.layers import at_least_float32
from vae.types import Distribution, Unsupported


class MixtureOfDiscretizedLogisticsRGB(Bytes):
    """Bytes of red, green and blue: a mixture for each pixel, in which green depends on
    red, and blue on both.

    References:
      Salimans et al. 2017, arXiv 1701.05517, eq. 2 and 3; Child 2020, arXiv
      2011.10650, takes 10 components.
    """

    num_components: Count = 10

    @property
    def needs_all_values(self) -> bool:
        return True  # a channel depends on those before it

    def num_features(self, channels: int) -> int:
        """Logits, then three times (red, green, blue) locations, log-scales and
        coefficients, of M components each.

        Raises:
          Unsupported: there are not three channels.
        """
        if channels != 3:
            raise Unsupported(
                f"needs images of 3 channels, and the data have {channels}",
                "likelihood",
            )
        return 10 * self.num_components

    def __call__(self, features: jax.Array, *, event_dim: int) -> Distribution:
        """Maps features [..., H, W, 10 M] to a distribution over [H, W, 3].

        Raises:
          Unsupported: the data are no images, or the features are not so many.
        """
        if event_dim != 3:
            raise Unsupported("needs images, and the data are vectors", "likelihood")
        (features,) = at_least_float32(features)
        *batch, height, width, size = features.shape
        if size != self.num_features(3):
            raise Unsupported(
                f"needs {self.num_features(3)} features at each pixel, not {size}",
                "likelihood",
            )
        flat = features.reshape(*batch, height * width, size).swapaxes(-1, -2)
        logits, rest = jnp.split(flat, [self.num_components], axis=-2)
        rest = rest.reshape(*batch, 3, 3, self.num_components, height * width)
        loc, log_scale, raw = (rest[..., i, :, :, :] for i in range(3))
        log_scale = bounded_log_scale(log_scale)
        parameters = RGBParameters(logits, loc, log_scale, jnp.tanh(raw))
        return RGBLogisticMixture(parameters, (height, width))

    def features_of_mean(self, mean: np.ndarray) -> np.ndarray:
        """Returns features [..., 10 M] at which the mean image is `mean` [..., 3], the
        weights equal, the channels independent, and the components apart as those of
        `MixtureOfDiscretizedLogistics`."""
        loc, log_scale = components_of_mean(mean, self.num_components)
        parts = np.stack([loc, log_scale, np.zeros_like(loc)], -3)  # [..., 3, 3, M]
        logits = np.zeros((*mean.shape[:-1], self.num_components))
        return np.concatenate([logits, parts.reshape(*mean.shape[:-1], -1)], -1)

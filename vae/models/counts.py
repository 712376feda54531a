"""Likelihoods of counts, and Student's t for real values with outliers.

Encoders see log(1 + x): counts reach ten million, and networks begin at a scale of one.
"""

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vae.distributions import counts
from vae.distributions.student_t import StudentT as StudentTDistribution
from vae.fields import Field, same
from vae.models.likelihoods import PixelLikelihood, RealPixels, at_least, join
from vae.nn.layers import ema
from vae.types import Distribution

# Float32 holds all integers to 2^24 = exp(16.6). Means without bound would make the
# gradient, x - mean, infinite at a log mean of 89.
MAX_LOG_MEAN = 30.0
# Where a decoder begins at columns that are zero in all training examples. Zeros then
# cost 1e-4 nats each, and a count that comes after all has a gradient of one, not -inf.
MIN_MEAN = 1e-4
LOG_R_BOUNDS = (math.log(1e-8), math.log(1e8))  # beyond, float32 sees no difference
INITIAL_INFLATION = 0.1  # probability of a zero beside those of the counts
INITIAL_WEIGHT = 1e-6  # of the first typical total, 1

Library = Annotated[bool, Field()]
Dispersion = Annotated[str, Field(menu=same("per_column", "shared"))]
# At most, for float32 squares what the tails divide by the degrees.
Degrees = Annotated[float, Field(above=0.0, at_most=1e6)]


class _Counts(PixelLikelihood):
    """What the likelihoods of counts have in common; the first feature is the log mean,
    or the logit of a share of the total."""

    is_discrete = True
    support = "counts 0, 1, 2, ..."
    advice = (
        "do not scale counts, and save them as integers [N, D] or as floating point, "
        "for bytes of images are divided by 255"
    )

    @staticmethod
    def supports(pixels: np.ndarray) -> bool:
        return bool(((pixels >= 0) & (pixels == np.floor(pixels))).all()) and bool(
            np.isfinite(pixels).all()
        )

    @staticmethod
    def encoder_view(x: Any) -> Any:
        """Returns log(1 + x)."""
        return np.log1p(x) if isinstance(x, np.ndarray) else jnp.log1p(x)

    def features_of_mean(self, mean: np.ndarray) -> np.ndarray:
        """Returns the features at which the mean is `mean`, or `MIN_MEAN` where it is
        less; given the total, at which each column has its share."""
        return np.log(np.maximum(mean, MIN_MEAN))

    @property
    def needs_all_values(self) -> bool:
        """Whether the density is one given the total of the example."""
        return False

    def typical_total(self) -> jax.Array:
        """Returns the moving average of totals [], which begins at 1."""
        init = nn.initializers.constant(INITIAL_WEIGHT)
        sums = self.param("average_total", init, (2,), float)
        total, weight = jax.lax.stop_gradient(sums)
        return total / weight

    def ema_loss(
        self, likelihood: Distribution, x: jax.Array, keys: jax.Array
    ) -> jax.Array | float:
        """See `Likelihood`; no key is used. The average is a sum of totals and the sum
        of their weights, so that it forgets its start at once."""
        del likelihood, keys
        if not self.needs_all_values:
            return 0.0
        total = x.reshape(len(x), -1).sum(-1).mean()
        average = self.get_variable("params", "average_total")
        return ema(average, jnp.stack((total, jnp.ones_like(total))))


class _Rates(_Counts):
    """What the likelihoods with a mean for each column have in common.

    With `library`, the mean is total(x) softmax(features): the total of the example is
    an observed covariate, as the sequencing depth of a cell. The result is then a
    density given the total: it does not compare with one of the counts alone. `mean`
    and `sample` are at a typical total, a moving average that only `ema_loss` moves.

    References:
      Lopez et al. 2018, doi 10.1038/s41592-018-0229-2 (scVI), methods; there the
      total has a posterior of its own.
    """

    library: Library = False

    @property
    def needs_all_values(self) -> bool:
        return self.library

    @nn.compact
    def pixels(self, features: jax.Array) -> Distribution:
        rates = features[..., 0]
        if not self.library:
            return self.of_means(-at_least(-rates, -MAX_LOG_MEAN), features)
        shares = self.of_means(jax.nn.log_softmax(rates), features)
        return counts.GivenTotal(shares, self.typical_total())

    def of_means(self, log_mean: jax.Array, features: jax.Array) -> Distribution:
        """Returns the distribution of log means [..., N], with what else it reads of
        the features [..., N, features_per_channel]."""
        raise NotImplementedError


class Poisson(_Rates):
    """Counts whose variance is their mean, by the log mean."""

    def of_means(self, log_mean: jax.Array, features: jax.Array) -> Distribution:
        del features
        return counts.Poisson(log_mean)


class NegativeBinomial(_Rates):
    """Counts of variance mean + mean^2 / r, by the log mean; the inverse dispersion r
    is learned, one for each column or one for all, from r = 1 on.

    `LOG_R_BOUNDS` bounds r smoothly: the likelihood of counts that vary less than
    Poisson's would else grow for ever with r.
    """

    dispersion: Dispersion = "per_column"

    def of_means(self, log_mean: jax.Array, features: jax.Array) -> Distribution:
        del features
        shape = log_mean.shape[-1:] if self.dispersion == "per_column" else ()
        raw = self.param("log_inverse_dispersion", nn.initializers.zeros, shape, float)
        low, high = LOG_R_BOUNDS
        log_r = -at_least(-at_least(raw, low), -high)
        return counts.NegativeBinomial(log_mean, log_r)


class ZeroInflatedNegativeBinomial(NegativeBinomial):
    """`NegativeBinomial`, or zero with a probability that is the second feature's
    sigmoid. The log mean is that of the negative binomial.

    References:
      Lopez et al. 2018, doi 10.1038/s41592-018-0229-2 (scVI), methods.
    """

    features_per_channel = 2

    def of_means(self, log_mean: jax.Array, features: jax.Array) -> Distribution:
        counted = super().of_means(log_mean, features)
        return counts.ZeroInflated(counted, features[..., 1])

    def features_of_mean(self, mean: np.ndarray) -> np.ndarray:
        """Returns the features at which the mean is `mean`, or `MIN_MEAN` where it is
        less, the inflation 0.1."""
        kept = 1 - INITIAL_INFLATION
        log_mean = super().features_of_mean(mean) - math.log(kept)
        logits = np.full_like(log_mean, math.log(INITIAL_INFLATION / kept))
        return join(log_mean[..., None], logits[..., None])


class Multinomial(_Counts):
    """How an example's total divides among its columns, by logits: log p(x | n, z) with
    n the total of x. It says nothing of n.

    `mean` and `sample` are at a typical total, a moving average of totals that only
    `ema_loss` moves; samples have it rounded.
    """

    @property
    def needs_all_values(self) -> bool:
        return True

    @nn.compact
    def pixels(self, features: jax.Array) -> Distribution:
        return counts.Multinomial(features[..., 0], self.typical_total())


class StudentT(RealPixels):
    """Real pixels with heavy tails: Student's t with one scale, learned by gradient
    descent, and fixed degrees of freedom. One outlier moves the mean less than under a
    Gaussian.

    References:
      Takahashi et al. 2018, Student-t Variational Autoencoder for Robust Density
      Estimation, IJCAI (there the decoder gives scale and degrees).
    """

    degrees: Degrees = 4.0

    @nn.compact
    def pixels(self, features: jax.Array) -> Distribution:
        log_scale = self.param("log_scale", nn.initializers.zeros, (), float)
        loc = features[..., 0]
        return StudentTDistribution(loc, jnp.exp(log_scale), self.degrees)

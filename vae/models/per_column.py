"""The likelihood of a table: each column has that of its kind."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core import freeze
from numpyro.distributions import Normal

from vae.data.columns import BINARY, CATEGORY, COUNT, REAL, Column, value_kinds
from vae.distributions import per_column as distributions
from vae.models.counts import NegativeBinomial
from vae.models.likelihoods import (
    MEAN_BOUNDS,
    MIN_VARIANCE,
    Bernoulli,
    PixelLikelihood,
    RealPixels,
    at_least,
)
from vae.types import Distribution, Unsupported


class GaussianPerColumn(RealPixels):
    """Real values with one standard deviation for each column, learned by gradient
    descent. `MIN_VARIANCE` bounds the variance smoothly, as in `GaussianPerPixel`."""

    @nn.compact
    def pixels(self, features: jax.Array) -> Distribution:
        loc = features[..., 0]
        init = nn.initializers.zeros
        raw = self.param("log_variance", init, loc.shape[-1:], float)
        scale = jnp.exp(at_least(raw, math.log(MIN_VARIANCE)) / 2)
        return Normal(loc, jnp.broadcast_to(scale, loc.shape))


class OneHot(PixelLikelihood):
    """Categories as one-hot values, with a softmax over the values of each column."""

    widths: tuple[int, ...]  # how many values each column has
    is_discrete = True
    support = "one-hot values"

    def pixels(self, features: jax.Array) -> Distribution:
        return distributions.OneHot(features[..., 0], self.widths)

    def supports(self, pixels: np.ndarray) -> bool:
        """Says if values [..., N] are 0 or 1, with one 1 in each column."""
        return not np.isnan(pixels).any() and self.supports_observed(pixels)

    def supports_observed(self, x: np.ndarray) -> bool:
        """See `Likelihood`: of a category all values are missing, or none."""
        starts, is_missing = np.cumsum([0, *self.widths[:-1]]), np.isnan(x)
        ones = np.add.reduceat(np.where(is_missing, 0, x), starts, -1)
        missing = np.add.reduceat(is_missing.astype(int), starts, -1)
        is_observed = (missing == 0) & (ones == 1)
        is_good = is_observed | (missing == np.array(self.widths))
        return bool(is_good.all() and (is_missing | np.isin(x, (0, 1))).all())

    @staticmethod
    def features_of_mean(mean: np.ndarray) -> np.ndarray:
        """Returns the logits at which the shares of categories are `mean`."""
        return np.log(np.clip(mean, *MEAN_BOUNDS))


class PerColumn(PixelLikelihood):
    """Columns of a table, independent given z, each with the likelihood of its kind: a
    Gaussian for real numbers, Bernoulli for binary ones, a softmax for categories, and
    a negative binomial for counts.

    With a real column the result is a density, else a mass. The encoder sees
    log(1 + x) of counts.

    References:
      Nazabal et al. 2020, arXiv 1807.03653 (HI-VAE), sec. 3.1: likelihoods by kind.
    """

    parts: Mapping[str, PixelLikelihood]  # by kind
    places: Mapping[str, tuple[int, ...]]  # by kind, in a vector [D]
    support = (
        "finite numbers in real columns, 0 and 1 in binary ones, one-hot values of "
        "categories, and counts 0, 1, 2, ..."
    )

    @property
    def is_discrete(self) -> bool:
        return all(part.is_discrete for part in self.parts.values())

    @classmethod
    def is_binary(cls) -> bool:
        """Says no: binarisation is for images."""
        return False

    def pixels(self, features: jax.Array) -> Distribution:
        places = tuple(self.places[kind] for kind in self.parts)
        values = [distributions.take(features[..., 0], place) for place in places]
        parts = tuple(
            part.pixels(of_part[..., jnp.newaxis])
            for part, of_part in zip(self.parts.values(), values, strict=True)
        )
        return distributions.PerColumn(parts, places)

    def supports(self, pixels: np.ndarray) -> bool:
        """Says if vectors [..., D] are in the support."""
        return not np.isnan(pixels).any() and self.supports_observed(pixels)

    def supports_observed(self, x: np.ndarray) -> bool:
        return all(
            part.supports_observed(x[..., self.places[kind]])
            for kind, part in self.parts.items()
        )

    def encoder_view(self, x: Any) -> Any:
        """Returns vectors [..., D] with log(1 + x) for counts."""
        return self._by_kind(x, lambda part, values: part.encoder_view(values))

    def features_of_mean(self, mean: np.ndarray) -> np.ndarray:
        """Returns the features [D] at which the mean is `mean` [D]."""
        return self._by_kind(mean, lambda part, values: part.features_of_mean(values))

    @nn.nowrap
    def _by_kind(self, x: Any, of_part: Callable[[PixelLikelihood, Any], Any]) -> Any:
        """Returns what `of_part` makes of the values of each kind, at their places."""
        places = [np.array(self.places[kind]) for kind in self.parts]
        values = [
            of_part(part, x[..., place])
            for part, place in zip(self.parts.values(), places, strict=True)
        ]
        join = np.concatenate if isinstance(x, np.ndarray) else jnp.concatenate
        return join(values, -1)[..., np.argsort(np.concatenate(places))]


def per_column(*, columns: Sequence[Column]) -> PerColumn:
    """Returns the likelihood of vectors whose values belong to these columns.

    Raises:
      Unsupported: the data have no columns with kinds.
    """
    if not columns:
        raise Unsupported(
            "needs a table, whose columns have kinds; for other data choose another "
            "likelihood"
        )
    kinds = np.array(value_kinds(columns))
    widths = tuple(column.width for column in columns if column.kind == CATEGORY)
    every = {
        REAL: GaussianPerColumn(),
        BINARY: Bernoulli(),
        CATEGORY: OneHot(widths),
        COUNT: NegativeBinomial(),
    }
    parts = {kind: part for kind, part in every.items() if kind in kinds}
    places = {kind: tuple(np.flatnonzero(kinds == kind).tolist()) for kind in parts}
    return PerColumn(freeze(parts), freeze(places))  # which can be hashed

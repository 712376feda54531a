"""Distributions of counts 0, 1, 2, ...: one value at a time, or with their total.

Log masses are in the saddle-point form of Loader 2000: a distance of the count from its
mean that vanishes where they agree, and the error of Stirling's formula. In float32 the
textbook form, a difference of log-gammas, loses 16 nats at counts of ten million.

References:
  Loader 2000, Fast and Accurate Computation of Binomial Probabilities (as in R).
"""

import math
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpyro.distributions
from jax.scipy.special import gammaln

from vae.types import Distribution

# 1 / k!, k = 2 ... 15, of exp(-t) - 1 + t at |t| < 1/2: to 1e-18.
DISTANCE = [(-1) ** k / math.factorial(k) for k in range(2, 16)]
DISTANCE_RADIUS = 0.5
# Of Stirling's series in 1 / n, 1 / n^3, ...: to 6e-12 at 8.
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680)
STIRLING_FROM = 8.0
HALF_LOG_TWO_PI = math.log(2 * math.pi) / 2
LARGEST_DRAWN = 1e9  # mean of a Poisson draw: beyond, integers of 32 bits overflow
LOG_ZERO = -80.0  # stands for the logarithm of a total of zero


class Poisson(numpyro.distributions.Distribution):
    """The Poisson distribution, by the logarithm of its mean."""

    pytree_data_fields = ("log_mean",)

    def __init__(self, log_mean: jax.Array):
        self.log_mean = log_mean
        super().__init__(log_mean.shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns the log mass of counts in nats, elementwise."""
        count = jnp.where(value > 0, value, 1)
        log_count = jnp.log(count)
        positive = (
            -count * _distance(log_count - self.log_mean)
            - _stirling_error(count, log_count)
            - (log_count / 2 + HALF_LOG_TWO_PI)
        )
        return jnp.where(value > 0, positive, -jnp.exp(self.log_mean))

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns counts [*sample_shape, *batch_shape], of means up to 1e9."""
        return _draw(key, self.log_mean, (*sample_shape, *self.batch_shape))

    @property
    def mean(self) -> jax.Array:
        """The mean, elementwise."""
        return jnp.exp(self.log_mean)

    @property
    def variance(self) -> jax.Array:
        """The variance, elementwise: the mean."""
        return self.mean

    def times(self, log_factor: jax.Array) -> Self:
        """Returns the distribution with its mean times a factor."""
        return type(self)(self.log_mean + log_factor)


class NegativeBinomial(numpyro.distributions.Distribution):
    """A Poisson variable whose mean is gamma-distributed: variance mean + mean^2 / r.

    With n = r + x for the count x, b = x / (n q) and a = r / (n (1 - q)), where q is
    mean / (mean + r), the log mass is

        1/2 log(r / (2 pi n x)) + s(n) - s(r) - s(x) - r d(log a) - x d(log b)

    with d(t) = exp(-t) - 1 + t and s the error of Stirling's formula.

    References:
      Loader 2000, the binomial, of which this is a multiple: p(x) = r / n times the
      mass of r successes in n trials.
    """

    pytree_data_fields = ("log_mean", "log_r")

    def __init__(self, log_mean: jax.Array, log_r: jax.Array):
        """Takes log means [...], and logarithms of the inverse dispersion r that
        broadcast to them."""
        self.log_mean, self.log_r = log_mean, jnp.broadcast_to(log_r, log_mean.shape)
        super().__init__(log_mean.shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns the log mass of counts in nats, elementwise."""
        r, log_r = jnp.exp(self.log_r), self.log_r
        count = jnp.where(value > 0, value, 1)
        log_count = jnp.log(count)
        log_odds = self.log_mean - log_r
        # log(1 + x / r) and log(1 + r / x): nothing is lost where r is huge or tiny.
        x_over_r = jax.nn.softplus(log_count - log_r)
        r_over_x = jax.nn.softplus(log_r - log_count)
        positive = (
            -(x_over_r + log_count) / 2
            - HALF_LOG_TWO_PI
            + _stirling_error(r + count, log_count + r_over_x)
            - _stirling_error(r, log_r)
            - _stirling_error(count, log_count)
            - r * _distance(jax.nn.softplus(log_odds) - x_over_r)
            - count * _distance(jax.nn.softplus(-log_odds) - r_over_x)
        )
        return jnp.where(value > 0, positive, -r * jax.nn.softplus(log_odds))

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns counts [*sample_shape, *batch_shape], of Poisson means up to 1e9."""
        gamma_key, count_key = jax.random.split(key)
        shape, r = (*sample_shape, *self.batch_shape), jnp.exp(self.log_r)
        # The logarithm, for with a tiny r most gamma draws are below the least float.
        log_gamma = jax.random.loggamma(gamma_key, r, shape, self.log_mean.dtype)
        return _draw(count_key, self.log_mean + log_gamma - self.log_r, shape)

    @property
    def mean(self) -> jax.Array:
        """The mean, elementwise."""
        return jnp.exp(self.log_mean)

    @property
    def variance(self) -> jax.Array:
        """The variance, elementwise."""
        return self.mean + jnp.exp(2 * self.log_mean - self.log_r)

    def times(self, log_factor: jax.Array) -> Self:
        """Returns the distribution with its mean times a factor."""
        return type(self)(self.log_mean + log_factor, self.log_r)


class ZeroInflated(numpyro.distributions.Distribution):
    """Zero with one probability, and else as a distribution of counts."""

    pytree_data_fields = ("counts", "logits")

    def __init__(self, counts: Distribution, logits: jax.Array):
        """Takes a distribution of counts, and the logits of the inflation."""
        self.counts, self.logits = counts, logits
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns the log mass of counts in nats, elementwise."""
        log_prob = self.counts.log_prob(value)
        either = jnp.where(value > 0, log_prob, jnp.logaddexp(self.logits, log_prob))
        return either - jax.nn.softplus(self.logits)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns counts [*sample_shape, *batch_shape]."""
        zero_key, count_key = jax.random.split(key)
        shape = (*sample_shape, *self.batch_shape)
        is_zero = jax.random.bernoulli(zero_key, jax.nn.sigmoid(self.logits), shape)
        return jnp.where(is_zero, 0, self.counts.sample(count_key, sample_shape))

    @property
    def mean(self) -> jax.Array:
        """The mean, elementwise."""
        return jax.nn.sigmoid(-self.logits) * self.counts.mean

    @property
    def variance(self) -> jax.Array:
        """The variance, elementwise."""
        kept = jax.nn.sigmoid(-self.logits)
        between = jax.nn.sigmoid(self.logits) * self.counts.mean**2
        return kept * (self.counts.variance + between)

    def times(self, log_factor: jax.Array) -> Self:
        """Returns the distribution with the counts' mean times a factor."""
        return type(self)(self.counts.times(log_factor), self.logits)


class GivenTotal(numpyro.distributions.Distribution):
    """Counts whose means are shares of a total: in `log_prob` that of the value itself,
    an observed covariate; in `sample`, `mean` and `variance` a typical one."""

    pytree_data_fields = ("shares", "total")

    def __init__(self, shares: Distribution, total: jax.Array):
        """Takes counts [..., N] whose means sum to one over the last axis, and a
        typical total []."""
        self.shares, self.total = shares, total
        super().__init__(shares.batch_shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns the log mass of counts [..., N] given their total, elementwise."""
        return self.shares.times(_log_total(value)).log_prob(value)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns counts [*sample_shape, ..., N] at the typical total."""
        return self._typical.sample(key, sample_shape)

    @property
    def mean(self) -> jax.Array:
        """The means [..., N] at the typical total."""
        return self._typical.mean

    @property
    def variance(self) -> jax.Array:
        """The variances [..., N] at the typical total."""
        return self._typical.variance

    @property
    def _typical(self) -> Any:
        return self.shares.times(jnp.log(self.total))


class Multinomial(numpyro.distributions.Distribution):
    """How counts divide their total: in `log_prob` that of the value itself; in
    `sample`, `mean` and `variance` a typical one.

    Of the log mass log p(x | n), each column has its Poisson term, and an equal part of
    what makes their total n: independent Poissons given their sum are multinomial.
    """

    pytree_data_fields = ("logits", "total")

    def __init__(self, logits: jax.Array, total: jax.Array):
        """Takes logits [..., N] and a typical total []."""
        self.logits, self.total = logits, total
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns terms [..., N] in nats whose sum over the last axis is log p(x | n)
        of counts x [..., N]."""
        log_total, total = _log_total(value), value.sum(-1, keepdims=True)
        log_prob_of_total = Poisson(log_total).log_prob(total)
        columns = Poisson(jax.nn.log_softmax(self.logits) + log_total).log_prob(value)
        return columns - log_prob_of_total / value.shape[-1]

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns counts [*sample_shape, ..., N], the typical total rounded."""
        shape = (*sample_shape, *self.batch_shape)
        shares = jax.nn.softmax(self.logits)
        return jax.random.multinomial(
            *(key, jnp.round(self.total), shares), shape=shape, dtype=shares.dtype
        )

    @property
    def mean(self) -> jax.Array:
        """The means [..., N] at the typical total."""
        return self.total * jax.nn.softmax(self.logits)

    @property
    def variance(self) -> jax.Array:
        """The variances [..., N] at the typical total."""
        return self.mean * (1 - jax.nn.softmax(self.logits))


def _distance(t: jax.Array) -> jax.Array:
    """Returns exp(-t) - 1 + t, elementwise, without loss of digits near zero."""
    is_small = jnp.abs(t) < DISTANCE_RADIUS
    # Each branch sees only arguments at which its own derivatives are right.
    small, large = jnp.where(is_small, t, 0), jnp.where(is_small, 1, t)
    series = small**2 * jnp.polyval(jnp.asarray(DISTANCE[::-1], t.dtype), small)
    return jnp.where(is_small, series, jnp.expm1(-large) + large)


def _stirling_error(n: jax.Array, log_n: jax.Array) -> jax.Array:
    """Returns log n! less Stirling's approximation, (n + 1/2) log n - n + 1/2 log 2 pi,
    of n > 0 elementwise."""
    is_small = n < STIRLING_FROM
    small, log_small = jnp.where(is_small, n, 1), jnp.where(is_small, log_n, 0)
    stirling = (small + 0.5) * log_small - small + HALF_LOG_TWO_PI
    inverse = jnp.where(is_small, 0, jnp.exp(-log_n))
    series = jnp.polyval(jnp.asarray(STIRLING[::-1], n.dtype), inverse**2)
    return jnp.where(is_small, gammaln(small + 1) - stirling, inverse * series)


def _log_total(counts: jax.Array) -> jax.Array:
    """Returns the logarithm [..., 1] of the sum over the last axis."""
    total = counts.sum(-1, keepdims=True)
    return jnp.where(total > 0, jnp.log(jnp.where(total > 0, total, 1)), LOG_ZERO)


def _draw(key: jax.Array, log_mean: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draws Poisson counts [*shape]."""
    mean = jnp.exp(jnp.minimum(log_mean, math.log(LARGEST_DRAWN)))
    return jax.random.poisson(key, mean, shape).astype(log_mean.dtype)

"""Distributions of pixels: one value at a time, and images of independent ones.

Distributions called `Byte...` are over the 256 levels k / 255 of a stored image.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions
from jax.scipy.special import logsumexp
from numpyro.distributions import BernoulliLogits

from vae.types import Distribution

TOP_LEVEL = 255
# B_2n / (2n (2n)!), n = 1 ... 5, of log((exp(t) - 1) / t): to 3e-18 at |t| = 1/4.
SERIES = (1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800, 1 / 479001600)
SERIES_RADIUS = 0.25
GRID_SIZE = 2001  # on which means are inverted
FACTORS = 8  # multiplied before their logarithm is taken


class PixelDistribution(numpyro.distributions.Distribution):
    """Independent pixels or columns of any event shape, held on one flat axis: XLA on
    CPU vectorises the innermost one, which for grey images would have size one.
    Densities are six times faster this way."""

    pytree_data_fields = ("flat",)

    def __init__(self, flat: Distribution, event_shape: tuple[int, ...]):
        """Takes the pixels' distribution, of batch shape [..., size of an event]."""
        self.flat = flat
        super().__init__(flat.batch_shape[:-1], event_shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of events [..., *event_shape], in nats; raises ValueError
        for those of another shape."""
        if value.shape[value.ndim - self.event_dim :] != self.event_shape:
            raise ValueError(f"events are {self.event_shape}, not of {value.shape}")
        value = value.reshape(*value.shape[: value.ndim - self.event_dim], -1)
        if isinstance(self.flat, StableBernoulli):
            return sum_of_bernoulli_log_probs(self.flat.logits, value)
        return self.flat.log_prob(value).sum(-1)

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns events [*sample_shape, ..., *event_shape]."""
        return self._as_events(self.flat.sample(key, sample_shape))

    @property
    def mean(self) -> jax.Array:
        """The means [..., *event_shape]."""
        return self._as_events(self.flat.mean)

    def _as_events(self, flat: jax.Array) -> jax.Array:
        return flat.reshape(*flat.shape[:-1], *self.event_shape)


class StableBernoulli(BernoulliLogits):
    """numpyro's distribution with the right gradient, x - 1/2, at a logit of zero."""

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p in nats, elementwise."""
        return value * self.logits - jax.nn.softplus(self.logits)


@jax.custom_jvp
def sum_of_bernoulli_log_probs(logits: jax.Array, value: jax.Array) -> jax.Array:
    """Returns the sum of value logit - log(1 + exp(logit)) over the last axis, with one
    logarithm for `FACTORS` of the factors 1 + exp(-|logit|), none over 2."""
    logits, value = jnp.broadcast_arrays(logits, value)
    padding = [(0, 0)] * (logits.ndim - 1) + [(0, -logits.shape[-1] % FACTORS)]
    factors = 1 + jnp.exp(-jnp.abs(jnp.pad(logits, padding, constant_values=jnp.inf)))
    products = factors.reshape(*logits.shape[:-1], FACTORS, -1).prod(-2)
    linear = (value * logits - jnp.maximum(logits, 0)).sum(-1)
    return linear - jnp.log(products).sum(-1)


@sum_of_bernoulli_log_probs.defjvp
def _jvp_of_sum(primals, tangents):
    (logits, value), (d_logits, d_value) = primals, tangents
    change = (value - jax.nn.sigmoid(logits)) * d_logits + logits * d_value
    return sum_of_bernoulli_log_probs(*primals), change.sum(-1)


class ContinuousBernoulliLogits(numpyro.distributions.Distribution):
    """The density exp(logit x) / constant over x in [0, 1].

    References:
      Loaiza-Ganem & Cunningham 2019, arXiv 1907.06845: lambda there is sigmoid(logit).
    """

    pytree_data_fields = ("logits",)

    def __init__(self, logits: jax.Array):
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p(value) in nats, elementwise."""
        return value * self.logits - log_mean_exp(self.logits)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns values [*sample_shape, *batch_shape], by the inverse of the CDF."""
        dtype = self.logits.dtype
        shape = (*sample_shape, *self.batch_shape)
        uniform = jax.random.uniform(key, shape, dtype)
        # A logit this close to zero moves the mean by less than the dtype resolves.
        rate = jnp.maximum(jnp.abs(self.logits), jnp.finfo(dtype).eps)
        falling = -jnp.log1p(uniform * jnp.expm1(-rate)) / rate
        return jnp.where(self.logits > 0, 1 - falling, falling)

    @property
    def mean(self) -> jax.Array:
        """The mean, which is the derivative of the log normaliser by the logit."""
        ones = jnp.ones_like(self.logits)
        return jax.jvp(log_mean_exp, (self.logits,), (ones,))[1]


def log_mean_exp(t: jax.Array) -> jax.Array:
    """Returns log of the mean of exp(t x) over x in [0, 1]: log((exp(t) - 1) / t).

    Elementwise, finite and with the right derivatives at every finite t: near zero by
    its series, for there the derivative of the closed form is a difference of poles.
    """
    is_small = jnp.abs(t) < SERIES_RADIUS
    # Each branch sees only arguments at which its own derivatives are finite.
    small, large = jnp.where(is_small, t, 0), jnp.where(is_small, 1, t)
    square = small**2
    even = jnp.polyval(jnp.asarray([*reversed(SERIES), 0], t.dtype), square)
    size = jnp.abs(large)
    closed = jax.nn.relu(large) + jnp.log(-jnp.expm1(-size)) - jnp.log(size)
    return jnp.where(is_small, small / 2 + even, closed)


def logits_of_mean(mean: np.ndarray, limit: float) -> np.ndarray:
    """Returns logits within the limit at which a continuous Bernoulli has the mean."""
    logits = np.linspace(-limit, limit, GRID_SIZE)
    with jax.ensure_compile_time_eval():  # initialisers are traced
        means = np.asarray(ContinuousBernoulliLogits(jnp.asarray(logits)).mean)
    return np.interp(mean, means, logits)


class ByteLogistic(numpyro.distributions.Distribution):
    """A logistic variable rounded to levels k / 255, the tails to the outermost.

    The mass of level k is sigmoid(b) - sigmoid(a), with b and a its upper and lower
    edge less `loc` over the scale. That equals sigmoid(b) sigmoid(-a) (1 - exp(a - b)),
    whose logarithm loses no digits however little mass a level has.

    References:
      Kingma et al. 2016, arXiv 1606.04934, appendix; here as in Salimans et al. 2017,
      arXiv 1701.05517, eq. 2: a level is the centre of its bin.
    """

    pytree_data_fields = ("loc", "log_scale")

    def __init__(self, loc: jax.Array, log_scale: jax.Array):
        """Takes location and log-scale of one shape, in units of the pixel's [0, 1]."""
        self.loc, self.log_scale = loc, log_scale
        super().__init__(loc.shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns the log mass of levels k / 255 in nats, elementwise."""
        level = _level(value)
        # In units of a level k - loc is exact where the mass is, so that neighbours
        # agree on the edge between them and masses sum to one in float32.
        from_loc = level - TOP_LEVEL * self.loc
        width = jnp.exp(-self.log_scale) / TOP_LEVEL
        is_first, is_last = level == 0, level == TOP_LEVEL
        below_upper = -jax.nn.softplus(-(from_loc + 0.5) * width)
        above_lower = -jax.nn.softplus((from_loc - 0.5) * width)
        inside = jnp.log(-jnp.expm1(-width))
        return (
            jnp.where(is_last, 0, below_upper)
            + jnp.where(is_first, 0, above_lower)
            + jnp.where(is_first | is_last, 0, inside)
        )

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns levels k / 255, [*sample_shape, *batch_shape]."""
        shape = (*sample_shape, *self.batch_shape)
        noise = jax.random.logistic(key, shape, self.loc.dtype)
        value = self.loc + jnp.exp(self.log_scale) * noise
        return _level(value.clip(0, 1)) / TOP_LEVEL

    @property
    def mean(self) -> jax.Array:
        """The mean before rounding, of the variable clipped to [0, 1].

        Rounding moves it by half a level, 1 / 510, at most; far less once the scale
        exceeds a level.
        """
        return clipped_logistic_mean(self.loc, jnp.exp(self.log_scale))


def clipped_logistic_mean(loc: jax.Array, scale: jax.Array) -> jax.Array:
    """Returns the mean of a logistic variable clipped to [0, 1], elementwise.

    It is scale (softplus(loc / scale) - softplus((loc - 1) / scale)), written so that
    no digits are lost where loc is far outside.
    """
    at_zero = jax.nn.softplus(-jnp.abs(loc) / scale)
    at_one = jax.nn.softplus(-jnp.abs(loc - 1) / scale)
    return jnp.clip(loc, 0, 1) + scale * (at_zero - at_one)


def centers_of_mean(mean: np.ndarray, offsets: np.ndarray, scale: float) -> np.ndarray:
    """Returns where to centre logistics so that, clipped to [0, 1], they have the mean.

    Args:
      mean: [...], the mean of M logistics of equal weight.
      offsets: [M], their places relative to the centre.
      scale: of each of them.

    Returns:
      The centres [..., 1], within five scales of [0, 1].
    """
    centers = np.linspace(-5 * scale, 1 + 5 * scale, GRID_SIZE)
    with jax.ensure_compile_time_eval():  # initialisers are traced
        loc = jnp.asarray(centers[:, None] + offsets)
        means = np.asarray(clipped_logistic_mean(loc, jnp.asarray(scale)).mean(-1))
    return np.interp(mean, means, centers)[..., None]


class ByteLogisticMixture(numpyro.distributions.Distribution):
    """A mixture of M `ByteLogistic`s for every value.

    References:
      Salimans et al. 2017, arXiv 1701.05517, eq. 2.
    """

    pytree_data_fields = ("logits", "components")

    def __init__(self, logits: jax.Array, components: ByteLogistic):
        """Takes logits and components [..., M, N] of N values each."""
        self.logits, self.components = logits, components
        batch_shape = (*logits.shape[:-2], logits.shape[-1])
        super().__init__(batch_shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns the log mass [..., N] of levels k / 255 [..., N], in nats."""
        log_weights = jax.nn.log_softmax(self.logits, -2)
        log_masses = self.components.log_prob(value[..., None, :])
        return logsumexp(log_weights + log_masses, -2)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns levels k / 255, [*sample_shape, ..., N]."""
        which_key, value_key = jax.random.split(key)
        shape = (*sample_shape, *self.batch_shape)
        which = jax.random.categorical(which_key, self.logits, -2, shape)
        values = self.components.sample(value_key, sample_shape)
        return _pick(values, which, axis=-2)

    @property
    def mean(self) -> jax.Array:
        """The components' means, weighted; like theirs, of the unrounded variable."""
        return (jax.nn.softmax(self.logits, -2) * self.components.mean).sum(-2)


class ByteCategorical(numpyro.distributions.Distribution):
    """Any distribution over the levels k / 255, by 256 logits for every value."""

    pytree_data_fields = ("logits",)

    def __init__(self, logits: jax.Array):
        """Takes logits [..., 256]."""
        self.logits = logits
        super().__init__(logits.shape[:-1], validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns the log mass of levels k / 255 in nats, elementwise."""
        return _pick(jax.nn.log_softmax(self.logits), _level(value), axis=-1)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns levels k / 255, [*sample_shape, *batch_shape]."""
        shape = (*sample_shape, *self.batch_shape)
        level = jax.random.categorical(key, self.logits, shape=shape)
        return level.astype(self.logits.dtype) / TOP_LEVEL

    @property
    def mean(self) -> jax.Array:
        """The exact mean, elementwise."""
        levels = jnp.arange(TOP_LEVEL + 1, dtype=self.logits.dtype) / TOP_LEVEL
        return (jax.nn.softmax(self.logits) * levels).sum(-1)


def _level(value: jax.Array) -> jax.Array:
    """The nearest k of k / 255, which floating point holds only nearly."""
    return jnp.round(TOP_LEVEL * value)


def _pick(values: jax.Array, index: jax.Array, axis: int) -> jax.Array:
    """`values` at `index` along an axis that `index` lacks; the others broadcast."""
    index = jnp.expand_dims(index.astype(int), axis)
    rank = max(values.ndim, index.ndim)
    values = values.reshape(*[1] * (rank - values.ndim), *values.shape)
    index = index.reshape(*[1] * (rank - index.ndim), *index.shape)
    return jnp.take_along_axis(values, index, axis).squeeze(axis)

"""Distributions on the unit sphere S^{D-1} in R^D: von Mises-Fisher, and uniform.

Densities are with respect to the surface measure. Of a von Mises-Fisher distribution,
all but a uniform direction is in the cosine w = <mean_direction, z>, whose density is
proportional to exp(kappa w) (1 - w^2)^((D - 3) / 2) on [-1, 1].

References:
  Davidson et al. 2018, arXiv 1804.00891.
"""

import math
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions
from numpy.polynomial import Polynomial
from numpyro.distributions import kl_divergence

LEAST_ORDER = 16  # of the Bessel function that is expanded
EXPANSION_TERMS = 9  # for 11 digits at that order
PROPOSALS = 32  # of which at least .65 are accepted: all fail once in 1e14 draws
QUADRATURE_NODES = 32  # for 6 digits up to D = 200, and 9 up to 64

Split = tuple[jax.Array, jax.Array]  # e and 1 - e, each to all its digits


class CosineStatistics(NamedTuple):
    """What is known in closed form of the cosine w, of the shape of kappa."""

    log_partition: jax.Array  # log E exp(kappa (w - 1)) over the uniform sphere, nats
    mean: jax.Array  # A = E[w], the ratio of Bessel functions I_{v+1} / I_v
    gap: jax.Array  # kappa (1 - A), which float32 could not take from A near 1


class VonMisesFisher(numpyro.distributions.Distribution):
    """Density proportional to exp(kappa w); samples are differentiable, once."""

    pytree_data_fields = ("mean_direction", "concentration")

    def __init__(self, mean_direction: jax.Array, concentration: jax.Array | float):
        """Takes unit vectors [..., D], D >= 2, and positive kappa [...]."""
        dtype = jnp.result_type(mean_direction, concentration, jnp.float32)
        kappa = jnp.asarray(concentration, dtype)[..., None]
        kappa, mean = jnp.broadcast_arrays(kappa, mean_direction.astype(dtype))
        self.mean_direction, self.concentration = mean, kappa[..., 0]
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of unit vectors [..., D], in nats."""
        # kappa (w - 1), of which float32 keeps the digits when z is near the mean
        squared_distance = ((value - self.mean_direction) ** 2).sum(-1)
        exponent = -self.concentration * squared_distance / 2
        return exponent - self._cosine.log_partition - log_area(self.event_shape[0])

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns unit vectors [*sample_shape, ..., D]."""
        assert key is not None
        keys = jax.random.split(key, sample_shape + self.batch_shape)
        return sample_von_mises_fisher(self, keys)

    @property
    def mean(self) -> jax.Array:
        """The mean [..., D], inside the sphere."""
        return self._cosine.mean[..., None] * self.mean_direction

    def entropy(self) -> jax.Array:
        """Returns the differential entropy [...] in nats."""
        cosine = self._cosine
        return log_area(self.event_shape[0]) + cosine.gap + cosine.log_partition

    @property
    def _cosine(self) -> CosineStatistics:
        return cosine_statistics(self.event_shape[0], self.concentration)


class UniformOnSphere(numpyro.distributions.Distribution):
    """The uniform distribution on the sphere, of batch shape []."""

    pytree_aux_fields = ("dtype",)

    def __init__(self, dim: int, dtype: Any = jnp.float32):
        """Takes D, of the space R^D that the sphere is in, and the samples' type."""
        self.dtype = dtype
        super().__init__((), (dim,), validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of unit vectors [..., D], in nats."""
        return jnp.full(value.shape[:-1], -log_area(self.event_shape[0]), self.dtype)

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns unit vectors [*sample_shape, D]."""
        assert key is not None
        return _directions(key, sample_shape + self.event_shape, self.dtype)


@kl_divergence.register(VonMisesFisher, UniformOnSphere)
def _kl_to_uniform(p: VonMisesFisher, q: UniformOnSphere) -> jax.Array:
    """Returns kappa A - log E exp(kappa w) [...], in nats."""
    assert p.event_shape == q.event_shape
    return -p._cosine.gap - p._cosine.log_partition


def log_area(dim: int) -> float:
    """Returns the log surface area of S^{dim - 1}, 2 pi^(dim / 2) / Gamma(dim / 2)."""
    return math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)


@partial(jax.jit, static_argnums=0)  # traced once, not at each use
def cosine_statistics(dim: int, kappa: jax.Array) -> CosineStatistics:
    """Returns the statistics of w at kappa [...], to the digits of its type.

    With v = dim / 2 - 1, E exp(kappa w) = Gamma(v + 1) (2 / kappa)^v I_v(kappa).
    I_{v+N} and its ratio come from the uniform expansion for large orders; N steps of
    the (stable) downward recurrence bring them to v. Every difference of large terms is
    taken in closed form, so all holds for kappa from 0 up, derivatives too.

    References:
      DLMF 10.41.3 (expansion, with x = kappa / order for its z), 10.29.1 (recurrence).
    """
    v = dim / 2 - 1
    steps = max(0, math.ceil(LEAST_ORDER - v))
    order = v + steps
    x = kappa / order
    root = jnp.sqrt(1 + x**2)
    excess = x**2 / (1 + root) / 2  # (root - 1) / 2
    drop = kappa * (1 + 1 / (root + x)) / (1 + root)  # kappa - order (root - 1)
    log_series, slope = _expansion(order, 1 / root, excess)
    ratio = x / (1 + root) - slope * x / (order * root**2)
    gap = drop + slope * (x / root) ** 2
    log_partition = log_series - drop - v * jnp.log1p(excess)
    for k in range(steps):
        m = order - k  # ratio is I_{m+1} / I_m, and becomes I_m / I_{m-1}
        gain = kappa * ratio / (2 * m)
        log_partition += jnp.log1p((gain - excess) / (1 + excess))
        ratio = kappa / (2 * m + kappa * ratio)
        gap = (2 * m - gap) * ratio
    return CosineStatistics(log_partition, ratio, gap)


def _expansion(
    order: float, p: jax.Array, excess: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns log(sqrt(p) U(p) / U(1)) and its slope by log p, U = sum_k U_k / order^k.

    U(1) is Stirling's series of 1 / Gamma(order + 1): dividing by it makes the value 0
    at kappa = 0, and dividing its root out of the polynomial makes it precisely so.
    """
    series, quotient = _series(order)
    # 1 - p = 2 excess p, and 1 / p = 1 + 2 excess
    log_value = jnp.log1p(-2 * excess * p * _evaluate(quotient, p))
    slope = p * _evaluate(series.deriv(), p) / _evaluate(series, p)
    return log_value - jnp.log1p(2 * excess) / 2, slope + 0.5


def _series(order: float) -> tuple[Polynomial, Polynomial]:
    """Returns U / U(1) and (U / U(1) - 1) / (p - 1) by p (DLMF 10.41.9 for the U_k)."""
    p, term, series = Polynomial([0, 1]), Polynomial([1]), Polynomial([0])
    for k in range(EXPANSION_TERMS):
        series += term / order**k
        integral = ((1 - 5 * p**2) * term).integ()
        term = p**2 * (1 - p**2) * term.deriv() / 2 + integral / 8
    series /= series(1)
    return series, (series - 1) // (p - 1)


def _evaluate(polynomial: Polynomial, p: jax.Array) -> jax.Array:
    # Horner's rule, unrolled: jnp.polyval is a loop, slow to compile
    return reduce(lambda total, c: total * p + float(c), polynomial.coef[::-1], 0 * p)


def sample_von_mises_fisher(distribution: VonMisesFisher, keys: jax.Array) -> jax.Array:
    """Returns differentiable samples z [K, B, D] of a distribution of batch shape [B].

    A sample depends on its own key only, of keys [K, B] from `rng.per_sample`. Pathwise
    gradients are unbiased: by the mean direction through a reflection, by kappa through
    the quantiles of w.
    """
    draw = jnp.vectorize(_draw, signature="(),(d),()->(d)")
    return draw(keys, distribution.mean_direction, distribution.concentration)


def _draw(key: jax.Array, mean_direction: jax.Array, kappa: jax.Array) -> jax.Array:
    """Returns one sample z [D] for a mean direction [D] and kappa []."""
    (dim,), dtype = mean_direction.shape, mean_direction.dtype
    angle_key, tangent_key = jax.random.split(key)
    split = _accepted_split(angle_key, dim, jax.lax.stop_gradient(kappa))
    angle = _angle(dim, kappa, split)
    tangent = _directions(tangent_key, (dim - 1,), dtype)
    around_first_axis = jnp.append(jnp.cos(angle), jnp.sin(angle) * tangent)
    return _carry_first_axis(mean_direction, around_first_axis)


def _directions(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    noise = jax.random.normal(key, shape, dtype)
    # On S^0 an exact zero, one draw in 1e7, would have no direction.
    noise = jnp.where(noise == 0, jnp.finfo(dtype).eps, noise)
    return noise / jnp.linalg.norm(noise, axis=-1, keepdims=True)


def _carry_first_axis(direction: jax.Array, z: jax.Array) -> jax.Array:
    """Returns z [D] moved by an isometry that takes the first axis to `direction`.

    A Householder reflection takes it to the one of +-direction that is farther from it,
    so that the gradient is bounded everywhere. Which one jumps where the first
    coordinate is 0, but the samples' distribution does not: gradients stay unbiased.
    """
    sign = jnp.where(direction[0] < 0, -1, 1).astype(direction.dtype)
    normal = direction.at[0].add(sign)
    # A dot: past 2^15 numbers XLA:CPU (jaxlib 0.10.2) errs where a sum is fused with -z
    along = jnp.vecdot(normal, z, precision="highest") / (normal**2).sum()
    return sign * (2 * normal * along - z)


def _envelope(dim: int, kappa: jax.Array) -> jax.Array:
    """Returns b of Wood's proposals, tan(angle / 2)^2 = b e / (1 - e), e ~ Beta."""
    n = dim - 1
    return n / (2 * kappa + jnp.sqrt(4 * kappa**2 + n**2))


def _accepted_split(key: jax.Array, dim: int, kappa: jax.Array) -> Split:
    """Returns the first accepted of Wood's proposals, as e and 1 - e, both [].

    References:
      Wood 1994, "Simulation of the von Mises Fisher distribution", algorithm VM*;
      Ulrich 1984, "Computer generation of distributions on the m-sphere", for
      e from two uniform numbers: the first coordinates of a point on the sphere.
    """
    dtype = kappa.dtype
    half_step = jnp.finfo(dtype).eps / 2  # off 0 and 1
    uniform = half_step + jax.random.uniform(key, (3, PROPOSALS), dtype)
    # 1 - radius^2 ~ Beta(D / 2 - 1, 1), which on the circle is 0
    shortfall = uniform[0] ** (2 / (dim - 2)) if dim > 2 else jnp.zeros_like(uniform[0])
    radius = jnp.sqrt(1 - shortfall)
    rest = shortfall / (1 + radius) / 2  # (1 - radius) / 2
    quarter_turn = jnp.pi / 2 * uniform[1]
    e = rest + radius * jnp.cos(quarter_turn) ** 2
    complement = rest + radius * jnp.sin(quarter_turn) ** 2
    b = _envelope(dim, kappa)
    h = e / (complement + b * e)
    log_acceptance = 2 * kappa * b * (1 / (1 + b) - h)
    log_acceptance += (dim - 1) * jnp.log((1 + (1 - b) * h) * (1 + b) / 2)
    first = jnp.argmax(jnp.log(uniform[2]) <= log_acceptance)
    return e[first], complement[first]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _angle(dim: int, kappa: jax.Array, split: Split) -> jax.Array:
    """Returns the angle [] between sample and mean direction; w is its cosine."""
    e, complement = split
    b = _envelope(dim, kappa)
    return 2 * jnp.arctan2(jnp.sqrt(b * e), jnp.sqrt(complement))


@_angle.defjvp
def _angle_at_fixed_quantile(dim: int, primals: Any, tangents: Any) -> Any:
    """Differentiates by kappa at fixed quantile F(w), as inversion of F would.

    dw / dkappa = -(dF / dkappa) / f(w) = -integral_{-1}^w (t - A) f(t) dt / f(w), or
    the same from w to 1 with the sign changed: the one on which t - A keeps its sign.
    With e (or 1 - e) = its value at w times s^2 the integrand is analytic in s.

    References:
      Figurnov et al. 2018, arXiv 1805.08498, sec. 3.
    """
    kappa, (e, complement) = primals
    b = _envelope(dim, kappa)
    gap = cosine_statistics(dim, kappa).gap / kappa  # 1 - A
    above_mean = 2 * b * e < gap * (complement + b * e)  # w > A
    near = jnp.where(above_mean, e, complement)
    far = jnp.where(above_mean, complement, e)
    s, weights = (jnp.asarray(a, e.dtype) for a in _quadrature(dim))
    step = near * (1 - s) * (1 + s)
    near_s, far_s = near * s**2, far + step
    e_s = jnp.where(above_mean, near_s, far_s)
    scale = complement + b * e
    scale_s = jnp.where(above_mean, far_s, near_s) + b * e_s
    tilt = 2 * kappa * b * step / (scale * scale_s)
    log_density = (
        (dim - 3) / 2 * jnp.log1p(step / far)
        - (dim - 1) * jnp.log(scale_s / scale)
        + jnp.where(above_mean, tilt, -tilt)
    )
    distance = jnp.abs(gap - 2 * b * e_s / scale_s)  # |t - A|
    integral = (weights * distance * jnp.exp(log_density)).sum()
    slope = -2 * jnp.sqrt(b * near / far) / scale * integral
    return _angle(dim, kappa, (e, complement)), slope * tangents[0]


def _quadrature(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns Gauss-Legendre nodes s on [0, 1], and weights times s^(dim - 2)."""
    nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE_NODES)
    return (1 + nodes) / 2, weights / 2 * ((1 + nodes) / 2) ** (dim - 2)

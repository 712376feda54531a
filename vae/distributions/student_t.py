"""Student's t distribution: real values with heavy tails."""

import math

import jax
import jax.numpy as jnp
import numpyro.distributions
from scipy.special import betaln


class StudentT(numpyro.distributions.Distribution):
    """Student's t distribution with a location and a scale."""

    pytree_data_fields = ("loc", "scale")
    pytree_aux_fields = ("degrees",)

    def __init__(self, loc: jax.Array, scale: jax.Array, degrees: float):
        """Takes locations [...], a scale [], and the degrees of freedom, a constant."""
        self.loc, self.scale, self.degrees = loc, scale, degrees
        super().__init__(loc.shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p in nats, elementwise."""
        half = self.degrees / 2
        # A difference of log-gammas, which float32 would lose at many degrees.
        constant = float(betaln(half, 0.5)) + math.log(2 * half) / 2
        ratio = (value - self.loc) / self.scale
        tails = (half + 0.5) * jnp.log1p(ratio**2 / self.degrees)
        return -tails - jnp.log(self.scale) - constant

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Returns values [*sample_shape, *batch_shape]."""
        shape, dtype = (*sample_shape, *self.batch_shape), self.loc.dtype
        return self.loc + self.scale * jax.random.t(key, self.degrees, shape, dtype)

    @property
    def mean(self) -> jax.Array:
        """The location: the mean, or the median where one degree or less has none."""
        return self.loc

    @property
    def variance(self) -> jax.Array:
        """The variance, elementwise: infinite for two degrees of freedom or fewer."""
        factor = self.degrees / (self.degrees - 2) if self.degrees > 2 else jnp.inf
        return jnp.broadcast_to(self.scale**2 * factor, self.batch_shape)

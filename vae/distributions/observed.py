"""Densities of what was observed of an example: missing values are nan."""

import jax
import jax.numpy as jnp

from vae.distributions.pixels import PixelDistribution
from vae.types import Unsupported


class ObservedEvents(PixelDistribution):
    """Independent values, of which those that are nan have density 1."""

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of the observed values of events [..., *event_shape], in
        nats."""
        value = value.reshape(*value.shape[: value.ndim - self.event_dim], -1)
        is_missing = jnp.isnan(value)
        # A value in its place keeps gradients finite.
        log_prob = self.flat.log_prob(jnp.where(is_missing, 0, value))
        return jnp.where(is_missing, 0, log_prob).sum(-1)

    @property
    def variance(self) -> jax.Array:
        """The variances [..., *event_shape].

        Raises:
          Unsupported: they have no closed form.
        """
        try:
            return self._as_events(self.flat.variance)
        except NotImplementedError as error:
            raise Unsupported("has no variance in closed form", "likelihood") from error


def of_observed(likelihood: PixelDistribution) -> ObservedEvents:
    """Returns p(x | z) of examples whose missing values are nan: the density of the
    others."""
    return ObservedEvents(likelihood.flat, likelihood.event_shape)


def fill(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns x with zeros for missing values, and which are observed, bool."""
    is_missing = jnp.isnan(x)
    return jnp.where(is_missing, 0, x), ~is_missing

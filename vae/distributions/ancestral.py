"""Densities of several groups of latent variables, each given the one above it."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from numpyro.distributions import Distribution as NumpyroDistribution

from vae.types import Distribution, Params


class Ancestral(NumpyroDistribution):
    """p(z_1, ..., z_L) = p(z_L) prod_l p(z_l | z_(l+1)), over codes of all groups side
    by side [D], the lowest first.

    It is a pytree: parameters are data, modules are static.
    """

    pytree_data_fields = ("top", "variables")
    pytree_aux_fields = ("generators", "sizes")

    def __init__(
        self,
        top: Distribution,
        generators: Sequence[nn.Module],
        variables: Sequence[Params],
        sizes: Sequence[int],
    ):
        """Takes p(z_L), event shape [D_L]; for each group above the first a module that
        maps its codes to the density of the group below, and the module's variables;
        and the sizes of all groups. The lowest group comes first."""
        self.top, self.sizes = top, tuple(sizes)
        self.generators, self.variables = tuple(generators), tuple(variables)
        event_shape = (sum(self.sizes),)
        super().__init__(top.batch_shape, event_shape, validate_args=False)

    def given(self, group: int, above: jax.Array) -> Distribution:
        """Returns p(z_l | z_(l+1)) of the group at place `group`, of codes of the group
        above it [..., D_(l+1)]."""
        density: Any = self.generators[group].apply(self.variables[group], above)
        return density

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of codes z [..., D], in nats."""
        z = split_groups(value, self.sizes)
        total = self.top.log_prob(z[-1])
        for i, above in enumerate(z[1:]):
            total = total + self.given(i, above).log_prob(z[i])
        return total

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns codes [*sample_shape, ..., D], drawn from the top downwards."""
        assert key is not None
        *lower, highest = jax.random.split(key, len(self.sizes))
        z = [self.top.sample(highest, sample_shape)]
        for i in reversed(range(len(lower))):
            z.insert(0, self.given(i, z[0]).sample(lower[i]))
        return jnp.concatenate(z, -1)


class GivenCodes(NumpyroDistribution):
    """p(z_l | z_(l+1)) of a z_(l+1) that was inferred from z_l itself. A KL divergence
    in closed form, which takes p for fixed, would be wrong: it has none."""

    pytree_data_fields = ("base",)

    def __init__(self, base: Distribution):
        """Takes p, event shape [D]."""
        self.base = base
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of codes z [..., D], in nats."""
        return self.base.log_prob(value)


def split_groups(z: jax.Array, sizes: Sequence[int]) -> list[jax.Array]:
    """Returns the codes of each group [..., D_l] of codes side by side [..., D]."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [z[..., end - size : end] for end, size in zip(ends, sizes, strict=True)]

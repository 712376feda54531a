"""Densities of several groups of latent variables, each given the one above it."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from numpyro.distributions import Distribution as NumpyroDistribution

from vae.distributions.gaussians import is_diagonal_gaussian
from vae.types import Distribution, Params

# (place of the group, its prior given the groups above) -> its codes, and a note
Choose = Callable[[int, Distribution], tuple[jax.Array, jax.Array]]


class Joint(NumpyroDistribution):
    """p(z_L) prod_l p(z_l | groups above), over codes of all groups side by side [D],
    the lowest first. All factors but that of the highest are diagonal Gaussians."""

    def __init__(self, top: Distribution, sizes: Sequence[int]):
        """Takes p(z_L), event shape [D_L], and the sizes of all groups, the lowest
        first."""
        self.top, self.sizes = top, tuple(sizes)
        event_shape = (sum(self.sizes),)
        super().__init__(top.batch_shape, event_shape, validate_args=False)

    def descend(self, shape: tuple[int, ...], choose: Choose) -> list[jax.Array]:
        """Visits the groups from the highest down.

        Args:
          shape: of the codes, but for their last axis.
          choose: maps the place of a group and its prior, given the codes that were
            chosen above, to codes [*shape, D_l] and a note.

        Returns:
          The notes, the lowest group first.
        """
        raise NotImplementedError

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Returns log p [...] of codes z [..., D], in nats."""
        z = split_groups(value, self.sizes)

        def choose(group: int, prior: Distribution) -> tuple[jax.Array, jax.Array]:
            return z[group], prior.log_prob(z[group])

        *lower, highest = self.descend(value.shape[:-1], choose)
        return sum(lower, highest)

    def sample(
        self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()
    ) -> jax.Array:
        """Returns codes [*sample_shape, ..., D], drawn from the top downwards."""
        assert key is not None
        keys = jax.random.split(key, len(self.sizes))
        shape = (*sample_shape, *self.batch_shape)

        def choose(group: int, prior: Distribution) -> tuple[jax.Array, jax.Array]:
            rest = shape[: len(shape) - len(prior.batch_shape)]
            z = prior.sample(keys[group], rest)
            return z, z

        return jnp.concatenate(self.descend(shape, choose), -1)

    def to_noise(self, value: jax.Array) -> jax.Array:
        """Returns the noise [..., D] from which codes z [..., D] follow: each less its
        mean given the groups above, in standard deviations. It is standard normal under
        the prior. The highest group stays as it is unless it is a diagonal Gaussian,
        too.

        So groups can be changed one by one: those below follow.
        """
        z = split_groups(value, self.sizes)

        def choose(group: int, prior: Distribution) -> tuple[jax.Array, jax.Array]:
            mean, scale = _moments(prior)
            return z[group], (z[group] - mean) / scale

        return jnp.concatenate(self.descend(value.shape[:-1], choose), -1)

    def from_noise(self, noise: jax.Array) -> jax.Array:
        """The inverse of `to_noise`: codes z [..., D] of noise [..., D]."""
        parts = split_groups(noise, self.sizes)

        def choose(group: int, prior: Distribution) -> tuple[jax.Array, jax.Array]:
            mean, scale = _moments(prior)
            z = mean + scale * parts[group]
            return z, z

        return jnp.concatenate(self.descend(noise.shape[:-1], choose), -1)


class Ancestral(Joint):
    """p(z_L) prod_l p(z_l | z_(l+1)).

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
        self.generators, self.variables = tuple(generators), tuple(variables)
        super().__init__(top, sizes)

    def descend(self, shape: tuple[int, ...], choose: Choose) -> list[jax.Array]:
        del shape
        z, note = choose(len(self.generators), self.top)
        notes = [note]
        for group in reversed(range(len(self.generators))):
            made: Any = self.generators[group].apply(self.variables[group], z)
            z, note = choose(group, made)
            notes.insert(0, note)
        return notes


def _moments(prior: Distribution) -> tuple[Any, Any]:
    """Returns mean and standard deviation of a diagonal Gaussian; of others 0 and 1."""
    if not is_diagonal_gaussian(prior):
        return 0.0, 1.0
    return prior.base_dist.loc, prior.base_dist.scale


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

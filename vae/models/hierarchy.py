"""Variational autoencoders with several groups of latent variables."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from numpyro.distributions import Independent, Normal

from vae import rng
from vae.distributions import reparameterization
from vae.distributions.ancestral import Ancestral, GivenCodes
from vae.fields import Sizes
from vae.models.base import Posterior
from vae.models.posteriors import DiagonalGaussian
from vae.models.vae import VAE, Encoded
from vae.nn.layers import EMA, MLP, Activation, Normalization
from vae.types import Distribution, Inference, LatentGroup, Unsupported

LAYERS = 2  # between two groups, as in the papers of both models


class Generator(nn.Module):
    """p(z_l | z_(l+1)), a diagonal Gaussian."""

    hidden: nn.Module  # [..., D_(l+1)] -> [..., F]
    gaussian: Posterior  # a diagonal Gaussian: [..., F] -> p(z_l | z_(l+1))

    def __call__(self, z: jax.Array) -> Distribution:
        """Maps codes [..., D_(l+1)] to a distribution, batch shape [...]."""
        return self.gaussian(self.hidden(z))


class Hierarchy(VAE):
    """p(x | z_1) p(z_1 | z_2) ... p(z_L), with diagonal Gaussians between the groups.

    Codes of all groups stand side by side [..., D], the lowest group first. `prior` is
    that of the highest. The upper groups have a module each in these tuples; without
    upper groups the model is `VAE`.

    Raises:
      Unsupported: a posterior is not a diagonal Gaussian; the prior is made of
        q(z | x); or the upper modules do not fit each other.
    """

    rises: tuple[nn.Module, ...] = ()  # from below to features of a group
    posteriors: tuple[Posterior, ...] = ()  # from these features to a Gaussian
    generators: tuple[Generator, ...] = ()  # of the group below

    def __post_init__(self) -> None:
        if self.posteriors and self.prior.shares_inference:
            raise Unsupported("is made of q(z | x), which groups do not have", "prior")
        super().__post_init__()
        made = (generator.gaussian for generator in self.generators)
        heads = (self.posterior, *self.posteriors, *made) if self.posteriors else ()
        if not all(isinstance(head, DiagonalGaussian) for head in heads):
            raise Unsupported("is not a diagonal Gaussian", "posterior")
        count = len(self.posteriors)
        if not len(self.rises) == len(self.generators) == count:
            raise Unsupported(
                "needs a rise and a generator for each of its upper posteriors: "
                f"{count}, not {len(self.rises)} and {len(self.generators)}"
            )
        generated = [generator.gaussian.code_dim for generator in self.generators]
        if generated != (sizes := [*self.group_sizes[:-1]]):
            raise Unsupported(
                f"needs generators of {sizes} dimensions, as the groups below the "
                f"highest have, not {generated}"
            )

    @property
    def group_sizes(self) -> tuple[int, ...]:
        upper = (posterior.code_dim for posterior in self.posteriors)
        return (self.posterior.code_dim, *upper)

    @property
    def inference_parts(self) -> tuple[str, ...]:
        upper = range(len(self.posteriors))
        names = (f"{part}_{i}" for i in upper for part in ("rises", "posteriors"))
        return (*super().inference_parts, *names)

    @property
    def rates_are_divergences(self) -> tuple[bool, ...]:
        return (True,) * len(self.group_sizes)

    @property
    def can_pad(self) -> bool:
        return not self.posteriors and super().can_pad

    @property
    def encodes_to_means(self) -> bool:
        return not self.posteriors and super().encodes_to_means

    @property
    def prior_factorises(self) -> bool:
        return not self.posteriors and super().prior_factorises

    def prior_of(self, label: jax.Array | None = None) -> Distribution:
        """Returns p(z) of all groups, batch shape [], or p(z | y) of labels [B]."""
        top = super().prior_of(label)
        if not self.generators:
            return top
        unbound = (generator.unbind() for generator in self.generators)
        return Ancestral(top, *zip(*unbound, strict=True), self.group_sizes)

    def infer(
        self, encoded: Encoded, keys: jax.Array, *, train: bool = False
    ) -> Inference:
        """Samples the groups, each given another, with keys [K, B]; decodes the
        lowest."""
        if not self.posteriors:
            return super().infer(encoded, keys, train=train)
        prior = self.prior(encoded.condition)
        groups = self._infer_groups(encoded.posterior, prior, keys)
        likelihood = self._decode(groups[0].z, encoded.condition)
        aux = {}
        if train:
            aux["frozen_log_q"] = self._frozen_log_q(encoded.posterior, groups)
        return Inference(groups, likelihood, aux)

    def posteriors_of(self, encoded: Any, z: Sequence[jax.Array]) -> list[Distribution]:
        """Returns q(z_l | ...) of each group, the lowest first, given codes z_l
        [K, B, D_l] of the others and what `Encoded` holds of the posterior."""
        raise NotImplementedError

    def _infer_groups(
        self, encoded: Any, prior: Distribution, keys: jax.Array
    ) -> tuple[LatentGroup, ...]:
        raise NotImplementedError

    def _frozen_log_q(self, encoded: Any, groups: tuple[LatentGroup, ...]) -> jax.Array:
        """Returns log q(z | x) [K, B] with gradients by z, but none by parameters.
        Freezing the density of each group by itself would also drop the gradient
        through the codes of the other groups."""
        module, variables = self.unbind()
        variables = {name: variables[name] for name in variables if name != EMA}
        given = jax.lax.stop_gradient((variables, encoded))
        z = [group.z for group in groups]
        posteriors: Any = module.apply(
            *given, z, method="posteriors_of", mutable=[EMA]
        )[0]
        log_q = [q.log_prob(code) for q, code in zip(posteriors, z, strict=True)]
        return jnp.stack(log_q).sum(0)

    def _decode(self, z: jax.Array, condition: jax.Array | None) -> Distribution:
        return super()._decode(z[..., : self.group_sizes[0]], condition)


class Chain(Hierarchy):
    """q(z | x) = q(z_1 | x) q(z_2 | z_1) ... q(z_L | z_(L-1)), inferred upwards.

    The rate of a group below the highest is E log q(z_l | z_(l-1)) / p(z_l | z_(l+1)),
    with z_(l+1) inferred from z_l. It is not a divergence and may be negative.

    References:
      Burda et al. 2015, arXiv 1509.00519, sec. 5 (two stochastic layers).
    """

    @property
    def rates_are_divergences(self) -> tuple[bool, ...]:
        return (False,) * len(self.posteriors) + (True,)

    def posteriors_of(
        self, encoded: Distribution, z: Sequence[jax.Array]
    ) -> list[Distribution]:
        upper = [self._above(i, below) for i, below in enumerate(z[:-1])]
        return [encoded, *upper]

    def _infer_groups(
        self, encoded: Distribution, prior: Distribution, keys: jax.Array
    ) -> tuple[LatentGroup, ...]:
        posteriors, samples = [encoded], [_sample(encoded, keys, 0)]
        for i in range(len(self.posteriors)):
            posteriors.append(self._above(i, samples[-1][0]))
            samples.append(_sample(posteriors[-1], keys, i + 1))
        given = [
            GivenCodes(generator(z))
            for generator, (z, _) in zip(self.generators, samples[1:], strict=True)
        ]
        triples = zip(samples, posteriors, [*given, prior], strict=True)
        return tuple(_group(*triple) for triple in triples)

    def _above(self, group: int, z: jax.Array) -> Distribution:
        """Returns q(z_(l+1) | z_l) of codes [..., D_l] of the group at a place."""
        return self.posteriors[group](self.rises[group](z))


class Ladder(Hierarchy):
    """q(z | x) = q(z_L | x) prod_l q(z_l | z_(l+1), x), inferred downwards: each factor
    is the normalised product of a Gaussian of the image and p(z_l | z_(l+1)).

    References:
      Sonderby et al. 2016, arXiv 1602.02282, eq. 11 to 18.
    """

    def _posterior_of(self, features: jax.Array) -> Any:
        if not self.posteriors:
            return super()._posterior_of(features)
        gaussians = [self.posterior(features)]
        for rise, posterior in zip(self.rises, self.posteriors, strict=True):
            features = rise(features)
            gaussians.append(posterior(features))
        return gaussians

    @property
    def shares_inference(self) -> bool:
        return bool(self.posteriors) or super().shares_inference

    def posteriors_of(
        self, encoded: list[Distribution], z: Sequence[jax.Array]
    ) -> list[Distribution]:
        *lower, highest = encoded
        generated = map(self._generate, range(len(lower)), z[1:])
        return [*map(combine, lower, generated), highest]

    def _infer_groups(
        self, encoded: list[Distribution], prior: Distribution, keys: jax.Array
    ) -> tuple[LatentGroup, ...]:
        *lower, highest = encoded
        groups = [_group(_sample(highest, keys, len(lower)), highest, prior)]
        for i in reversed(range(len(lower))):
            generated = self._generate(i, groups[0].z)
            posterior = combine(lower[i], generated)
            groups.insert(0, _group(_sample(posterior, keys, i), posterior, generated))
        return tuple(groups)

    def _generate(self, group: int, above: jax.Array) -> Distribution:
        return self.generators[group](above)


def combine(a: Distribution, b: Distribution) -> Distribution:
    """Returns the normalised product of two diagonal Gaussians, whose precisions add.

    References:
      Sonderby et al. 2016, arXiv 1602.02282, eq. 16 and 17.
    """
    scale_a, scale_b = a.base_dist.scale, b.base_dist.scale
    gap = jnp.log(scale_b) - jnp.log(scale_a)
    share = nn.sigmoid(2 * gap)  # of a in the precision
    mean = share * a.mean + (1 - share) * b.mean
    # The share of the larger precision is at least 1/2, so the root does not underflow.
    largest = nn.sigmoid(2 * jnp.abs(gap))
    scale = jnp.minimum(scale_a, scale_b) * jnp.sqrt(largest)
    return Independent(Normal(mean, scale), 1)


def _sample(
    posterior: Distribution, keys: jax.Array, group: int
) -> tuple[jax.Array, jax.Array]:
    """Returns codes [K, B, D] and their log-densities [K, B]; the lowest group has the
    keys of a model without others."""
    own = rng.fold(keys, group) if group else keys
    return reparameterization.sample_and_log_prob(posterior, own)


def _group(
    sample: tuple[jax.Array, jax.Array], posterior: Distribution, prior: Distribution
) -> LatentGroup:
    z, log_q = sample
    return LatentGroup(z, log_q, posterior, prior, jnp.ones(z.shape[-1], bool))


def _make(model: type[Hierarchy]) -> Callable[..., Hierarchy]:
    """Returns what builds a model of this kind."""

    def make(
        *,
        parts: dict[str, Any],
        upper_posteriors: Sequence[Posterior],
        dtype: Any = jnp.float32,
        group_widths: Sizes = (),
        group_activation: Activation = nn.tanh,
        group_normalization: Normalization = None,
        axis_name: str | None = None,
    ) -> Hierarchy:
        if len(group_widths) != len(upper_posteriors):
            raise Unsupported(
                f"needs a width of model.group_widths for each of model.groups: "
                f"{len(upper_posteriors)}, not {len(group_widths)}"
            )
        lower = (parts["posterior"], *upper_posteriors)[:-1]
        layers = [
            ((width,) * LAYERS, group_activation, dtype, group_normalization, axis_name)
            for width in group_widths
        ]
        return model(
            **parts,
            rises=tuple(MLP(*each) for each in layers),
            posteriors=tuple(upper_posteriors),
            generators=tuple(
                Generator(MLP(*each), below.clone())
                for each, below in zip(layers, lower, strict=True)
            ),
        )

    return make


chain, ladder = _make(Chain), _make(Ladder)

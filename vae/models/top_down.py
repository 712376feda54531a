"""A very deep VAE: groups of codes at several resolutions, each given all above it."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Independent, Normal

from vae import rng
from vae.distributions import reparameterization
from vae.distributions.ancestral import Choose, Joint, split_groups
from vae.distributions.observed import of_observed
from vae.models.base import Posterior
from vae.models.posteriors import DiagonalGaussian
from vae.models.vae import VAE, Encoded
from vae.nn.layers import at_least_float32
from vae.nn.top_down import Bottleneck, BottomUpEncoder, TopDownDecoder
from vae.types import Distribution, Inference, LatentGroup, Params, Unsupported

Scale = Callable[[jax.Array], jax.Array]


class TopDownPrior(Joint):
    """p(z_L) p(z_(L-1) | z_L) ... p(z_1 | z_2, ..., z_L).

    It is a pytree: parameters are data, modules are static.
    """

    pytree_data_fields = ("top", "variables")
    pytree_aux_fields = ("decoder", "scale", "sizes")

    def __init__(
        self,
        top: Distribution,
        decoder: TopDownDecoder,
        variables: Params,
        scale: Scale,
        sizes: Sequence[int],
    ):
        """Takes p(z_L), the decoder with its variables, what makes standard deviations
        of its outputs, and the sizes of the groups, the lowest first."""
        self.decoder, self.variables, self.scale = decoder, variables, scale
        super().__init__(top, sizes)

    def descend(self, shape: tuple[int, ...], choose: Choose) -> list[jax.Array]:
        notes = []

        def codes_of(i: int, h: jax.Array, made: jax.Array | None) -> jax.Array:
            prior = self.top
            if made is not None:
                prior = gaussian(made, shape, self.scale)
            z, note = choose(len(self.sizes) - 1 - i, prior)
            notes.insert(0, note)
            return z.reshape(*h.shape[:-1], -1)

        given = self.variables, math.prod(shape), self.sizes[-1], codes_of
        self.decoder.apply(*given, method="descend")
        return notes


class TopDown(VAE):
    """p(x | z_1, ..., z_L) p(z_1 | z_2, ..., z_L) ... p(z_L), and the posterior in the
    same order: q(z_L | x) ... q(z_1 | z_2, ..., z_L, x), diagonal Gaussians all.

    A block of the decoder sums up the groups above in h. It makes p(z_l | h); with what
    the encoder has at its resolution, h makes q(z_l | h, x). The posterior's dimensions
    are the channels of a code, at each position of each block. `prior` is that of the
    highest group, at 1x1. Codes of all groups stand side by side [..., D], the lowest
    group first. `posterior` says how scales are made.

    References:
      Child 2020, arXiv 2011.10650. The paper learns the mean and variance of p(z_L). A
      standard normal is as general here: the layer that reads z_L is linear.

    Raises:
      Unsupported: the posterior is not a diagonal Gaussian, the prior is made of
        q(z | x), or there are labels, one group only, or initial kernels to be drawn.
    """

    encoder: BottomUpEncoder
    posterior: DiagonalGaussian
    decoder: TopDownDecoder
    heads: tuple[Bottleneck, ...] = ()  # of q, of the lowest group first

    def __post_init__(self) -> None:
        if not isinstance(self.posterior, DiagonalGaussian):
            raise Unsupported("is not a diagonal Gaussian", "posterior")
        if self.prior.shares_inference:
            raise Unsupported("is made of q(z | x), which groups do not have", "prior")
        if self.num_labels is not None:
            raise Unsupported("takes no labels")
        if self.initializer is not None:
            raise Unsupported(
                "has initial kernels of its own: leave model.initializer at its default"
            )
        super().__post_init__()

    @property
    def inference_parts(self) -> tuple[str, ...]:
        return ("encoder", *(f"heads_{i}" for i in range(len(self.heads))))

    @property
    def group_sizes(self) -> tuple[int, ...]:
        channels = self.posterior.code_dim
        return tuple(channels * r**2 for r in reversed(self.decoder.resolutions))

    @property
    def rates_are_divergences(self) -> tuple[bool, ...]:
        return (True,) * len(self.group_sizes)

    @property
    def shares_inference(self) -> bool:
        return True  # h

    @property
    def can_pad(self) -> bool:
        return False

    @property
    def encodes_to_means(self) -> bool:
        return False

    @property
    def prior_factorises(self) -> bool:
        return False

    def prior_of(self, label: jax.Array | None = None) -> Distribution:
        """Returns p(z) of all groups, batch shape []."""
        top, decoder = super().prior_of(label), self.decoder.unbind()
        return TopDownPrior(top, *decoder, self.posterior.scale, self.group_sizes)

    def infer(
        self, encoded: Encoded, keys: jax.Array, *, train: bool = False
    ) -> Inference:
        """Samples the groups, each given those above it, with keys [K, B], and decodes
        all of them."""
        groups: list[LatentGroup] = []
        top, scale = self.prior(), self.posterior.scale

        def codes_of(i: int, h: jax.Array, made: jax.Array | None) -> jax.Array:
            place = len(self.heads) - 1 - i
            posterior = self._posterior_at(place, encoded.posterior, h, keys.shape)
            prior = top if made is None else gaussian(made, keys.shape, scale)
            own = rng.fold(keys, place) if place else keys
            z, log_q = reparameterization.sample_and_log_prob(posterior, own)
            used = jnp.ones(z.shape[-1], bool)
            groups.insert(0, LatentGroup(z, log_q, posterior, prior, used))
            return z.reshape(*h.shape[:-1], -1)

        features = self.decoder.descend(keys.size, self.posterior.code_dim, codes_of)
        likelihood = self._likelihood_of(
            features.reshape(*keys.shape, *features.shape[1:])
        )
        aux = {}
        if train:
            codes = jnp.concatenate([group.z for group in groups], -1)
            module, variables = self.unbind()
            given = jax.lax.stop_gradient((variables, encoded))
            aux["frozen_log_q"] = module.apply(*given, codes, method="log_q")
        return Inference(tuple(groups), likelihood, aux)

    def log_q(self, encoded: Encoded, codes: jax.Array) -> jax.Array:
        """Returns log q(z | x) [K, B] of codes of all groups [K, B, D], in nats."""
        shape = codes.shape[:-1]
        z = split_groups(codes, self.group_sizes)
        log_probs = []

        def codes_of(i: int, h: jax.Array, made: jax.Array | None) -> jax.Array:
            del made
            place = len(z) - 1 - i
            posterior = self._posterior_at(place, encoded.posterior, h, shape)
            log_probs.append(posterior.log_prob(z[place]))
            return z[place].reshape(*h.shape[:-1], -1)

        self.decoder.descend(math.prod(shape), self.posterior.code_dim, codes_of)
        return sum(log_probs[1:], log_probs[0])

    def _posterior_of(self, features: dict[int, jax.Array]) -> Any:
        return features

    def _posterior_at(
        self,
        place: int,
        activations: dict[int, jax.Array],
        h: jax.Array,
        shape: tuple[int, ...],
    ) -> Distribution:
        """Returns q(z_l | h, x) of the group at a place, batch shape [K, B], of what
        the encoder has of images [B, ...] and h [K * B, R, R, W]."""
        seen = activations[h.shape[1]]
        seen = jnp.broadcast_to(seen, (*shape, *seen.shape[1:]))
        seen = seen.reshape(-1, *seen.shape[2:])
        both = jnp.concatenate([h, seen.astype(h.dtype)], -1)
        return gaussian(self.heads[place](both), shape, self.posterior.scale)

    def _likelihood_of(self, features: jax.Array) -> Distribution:
        likelihood = self.likelihood(features, event_dim=3)
        return of_observed(likelihood) if self.observed_only else likelihood


def gaussian(made: jax.Array, shape: Sequence[int], scale: Scale) -> Distribution:
    """Returns a diagonal Gaussian over flat codes, of batch shape `shape`.

    Args:
      made: means and then raw scales [N, R, R, 2 C].
      shape: whose product is N.
      scale: from raw scales to standard deviations.
    """
    mean, raw_scale = (part.reshape(*shape, -1) for part in jnp.split(made, 2, -1))
    mean, raw_scale = at_least_float32(mean, raw_scale)
    return Independent(Normal(mean, scale(raw_scale)), 1)


def top_down(
    *, parts: dict[str, Any], upper_posteriors: Sequence[Posterior], dtype: Any
) -> TopDown:
    """Returns the model of an encoder and a decoder with layers at several resolutions.

    Raises:
      Unsupported: they are others, or do not go together; or see `TopDown`.
    """
    encoder, decoder = parts["encoder"], parts["decoder"]
    are_good = isinstance(encoder, BottomUpEncoder), isinstance(decoder, TopDownDecoder)
    if not all(are_good):
        raise Unsupported("needs the encoder bottom_up and the decoder top_down")
    if upper_posteriors:
        raise Unsupported(
            "has a group for each block of its decoder: leave model.groups at ()"
        )
    if missing := {*decoder.resolutions} - encoder.resolutions:
        side = max(missing)
        raise Unsupported(
            f"has a block at {side}x{side}, which the encoder does not reach", "decoder"
        )
    if len(decoder.resolutions) < 2:
        raise Unsupported("has one block, and so one group: it needs more", "decoder")
    size = 2 * parts["posterior"].code_dim
    heads = tuple(
        Bottleneck(decoder.middle, size, convolution=decoder.convolution, dtype=dtype)
        for _ in decoder.resolutions
    )
    wide = {**parts, "encoder": encoder.clone(every_resolution=True)}
    return TopDown(**wide, heads=heads)

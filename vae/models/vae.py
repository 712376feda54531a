"""A variational autoencoder with one group of latent variables."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae import reparameterization, rng
from vae.types import Distribution, Inference, LatentGroup


class VAE(nn.Module):
    """p(x | z) p(z) with the approximate posterior q(z | x), by composition.

    References:
      Kingma & Welling 2013, arXiv 1312.6114.
    """

    encoder: nn.Module  # [B, H, W, C] -> [B, F]
    posterior: nn.Module  # [B, F] -> q(z | x)
    prior: Callable[[], Distribution]  # a module; called, it returns p(z)
    decoder: nn.Module  # [N, D] -> [N, H, W, C * features per channel]
    likelihood: nn.Module  # [..., H, W, C * features per channel] -> p(x | z)

    def __call__(
        self, x: jax.Array, key: jax.Array, *, num_samples: int = 1, train: bool = False
    ) -> Inference:
        """See `base.Model`: x [B, H, W, C] and a key per example [B]."""
        keys = rng.per_sample(key, jnp.arange(num_samples))
        return self.infer(self.encode(x, train=train), keys, train=train)

    def encode(self, x: jax.Array, *, train: bool = False) -> Distribution:
        """Returns q(z | x), batch shape [B], event shape [D]."""
        del train  # none of the present layers behaves otherwise in training
        return self.posterior(self.encoder(x))

    def infer(
        self, posterior: Distribution, keys: jax.Array, *, train: bool = False
    ) -> Inference:
        """Samples `posterior` with keys [K, B] and decodes the samples."""
        z = reparameterization.sample(posterior, keys)
        group = LatentGroup(z=z, posterior=posterior, prior=self.prior())
        return Inference((group,), self.decode(z, train=train), aux={})

    def decode(self, z: jax.Array, *, train: bool = False) -> Distribution:
        """Returns p(x | z) for codes z [..., D]: batch shape [...]."""
        del train
        features = self.decoder(z.reshape(-1, z.shape[-1]))
        return self.likelihood(features.reshape(*z.shape[:-1], *features.shape[1:]))

    def generate(self, key: jax.Array, num_samples: int) -> Distribution:
        """Returns p(x | z) for `num_samples` codes drawn from the prior."""
        return self.decode(self.prior().sample(key, (num_samples,)))

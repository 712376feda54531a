"""Differentiable samples of the approximate posterior, and its gradient-free forms.

References:
  Kingma & Welling 2013, arXiv 1312.6114, sec. 2.4.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Independent, MultivariateNormal, Normal

from vae import rng
from vae.distributions.categorical import OneHotCodes, Quantized
from vae.distributions.hyperspherical import VonMisesFisher, sample_von_mises_fisher
from vae.distributions.transformed import TransformedDistribution
from vae.types import Distribution, LatentGroup

Sampled = tuple[jax.Array, jax.Array]  # z [K, B, D] and log q(z | x) [K, B]


def sample_and_log_prob(
    posterior: Distribution, keys: jax.Array, *, train: bool = False
) -> Sampled:
    """Returns differentiable samples and their log-densities, in nats.

    Args:
      posterior: of batch shape [B], or a diagonal Gaussian of [K, B]; event shape [D].
      keys: one key per sample and example [K, B], from `rng.per_sample`.
      train: relaxes discrete codes, so that gradients pass.
    """
    if isinstance(posterior, TransformedDistribution):
        return posterior.push(_sample(posterior.base, keys))
    if train and isinstance(posterior, OneHotCodes):
        z = posterior.relax(_gumbel(posterior, keys))
    else:
        z = _sample(posterior, keys)
    return z, posterior.log_prob(z)


def frozen_log_prob(group: LatentGroup) -> jax.Array:
    """Returns log q(z | x) [K, B] with gradients by z, but none by q's parameters.

    Without them the score function, whose mean is zero, adds no variance.

    Raises:
      NotImplementedError: the posterior has no density of a given z.

    References:
      Roeder et al. 2017, arXiv 1703.09194, eq. 7; Tucker et al. 2019, arXiv
      1810.04152.
    """
    frozen: Any = jax.tree.map(jax.lax.stop_gradient, group.posterior)
    return frozen.log_prob(group.z)


@functools.singledispatch
def _sample(posterior: Distribution, keys: jax.Array) -> jax.Array:
    """Returns samples z [K, B, D]."""
    raise TypeError(f"no reparameterised samples of {posterior}")


@_sample.register
def _(posterior: Independent, keys: jax.Array) -> jax.Array:
    gaussian = posterior.base_dist
    if not isinstance(gaussian, Normal):
        raise TypeError(f"no reparameterised samples of {posterior}")
    mean: Any = gaussian.loc
    return mean + gaussian.scale * rng.normal(keys, mean.shape[-1], mean.dtype)


@_sample.register
def _(posterior: MultivariateNormal, keys: jax.Array) -> jax.Array:
    mean: Any = posterior.loc
    noise = rng.normal(keys, mean.shape[-1], mean.dtype)
    tril = posterior.scale_tril
    return mean + jnp.einsum("bij,kbj->kbi", tril, noise, precision="highest")


@_sample.register
def _(posterior: VonMisesFisher, keys: jax.Array) -> jax.Array:
    return sample_von_mises_fisher(posterior, keys)


@_sample.register
def _(posterior: OneHotCodes, keys: jax.Array) -> jax.Array:
    return posterior.harden(_gumbel(posterior, keys))


@_sample.register
def _(posterior: Quantized, keys: jax.Array) -> jax.Array:
    return posterior.sample(None, keys.shape[:1])


def _gumbel(posterior: OneHotCodes, keys: jax.Array) -> jax.Array:
    """Returns noise [K, B, P, C]."""
    shape, dtype = posterior.logits.shape[-2:], posterior.logits.dtype
    draw = jax.vmap(jax.vmap(lambda key: jax.random.gumbel(key, shape, dtype)))
    return draw(keys)

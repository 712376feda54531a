"""Priors p(z): modules that, called with the condition, return a distribution.

`shares_inference` says if a prior holds parameters of q(z | x).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from numpyro.distributions import Independent, Normal

from vae.distributions.codes import AutoregressiveCodes, EmbeddedCodes, OneHotCodes
from vae.distributions.gaussians import DiagonalGaussianMixture
from vae.distributions.hyperspherical import UniformOnSphere as SphericalDistribution
from vae.distributions.transformed import TransformedDistribution
from vae.nn.flows import Autoregressive
from vae.nn.layers import dense
from vae.types import Distribution


class StandardNormal(nn.Module):
    """p(z) = N(0, I)."""

    latent_dim: int
    dtype: Any = jnp.float32
    shares_inference = False

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        del condition
        zeros = jnp.zeros(self.latent_dim, self.dtype)
        return Independent(Normal(zeros, jnp.ones_like(zeros)), 1)


class ConditionalGaussian(nn.Module):
    """p(z | y) = N(mean(y), diag(scale(y)^2)), learned for each label y.

    References:
      Sohn et al. 2015, Learning Structured Output Representation using Deep
      Conditional Generative Models, sec. 4.1 (there given an image).
    """

    latent_dim: int
    dtype: Any = jnp.float32
    shares_inference = False

    @nn.compact
    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Maps a condition [..., Y] to a distribution, batch shape [...]."""
        if condition is None:
            raise ValueError("conditional_gaussian needs a condition")
        mean = dense(self.latent_dim, "mean", self.dtype)(condition)
        log_scale = dense(self.latent_dim, "log_scale", self.dtype)(condition)
        return Independent(Normal(mean, jnp.exp(log_scale)), 1)


class GaussianMixture(nn.Module):
    """A learned mixture of diagonal Gaussians.

    References:
      Dilokthanakul et al. 2016, arXiv 1611.02648; the "mixture of Gaussians prior"
      of Tomczak & Welling 2018, arXiv 1705.07120, sec. 4.3.
    """

    latent_dim: int
    num_components: int
    dtype: Any = jnp.float32
    shares_inference = False

    @nn.compact
    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        del condition
        zeros, normal = nn.initializers.zeros, nn.initializers.normal(1.0)
        shape = (self.num_components, self.latent_dim)
        logits = self.param("logits", zeros, shape[:1], self.dtype)
        means = self.param("means", normal, shape, self.dtype)
        log_scales = self.param("log_scales", zeros, shape, self.dtype)
        return DiagonalGaussianMixture(logits, means, jnp.exp(log_scales))


class VampPrior(nn.Module):
    """p(z) = 1/K sum_k q(z | u_k): the posteriors of K learned pseudo-inputs.

    References:
      Tomczak & Welling 2018, arXiv 1705.07120, eq. 9.
    """

    encoder: nn.Module  # the model's own
    posterior: nn.Module  # the model's own, a diagonal Gaussian
    start: Any  # () -> pseudo-inputs [K, H, W, C] to start from
    dtype: Any = jnp.float32
    shares_inference = True

    @nn.compact
    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        del condition
        pseudo_inputs = self.param(
            "pseudo_inputs", lambda key: jnp.asarray(self.start(), self.dtype)
        )
        # Images live in [0, 1]; the authors clip too (a hard tanh).
        gaussian = self.posterior(self.encoder(jnp.clip(pseudo_inputs, 0, 1))).base_dist
        logits = jnp.zeros(len(pseudo_inputs), gaussian.loc.dtype)
        return DiagonalGaussianMixture(logits, gaussian.loc, gaussian.scale)


class FlowPrior(nn.Module):
    """A standard normal sent through a flow with an inverse.

    References:
      Dinh et al. 2017, arXiv 1605.08803 (RealNVP), as a prior: Chen et al. 2017,
      arXiv 1611.02731, sec. 3.2.
    """

    base: StandardNormal
    flow: nn.Module  # see `vae.nn.flows`
    shares_inference = False

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        del condition
        base = self.base()
        if self.is_initializing():
            self.flow(base.mean)
        flow, variables = self.flow.unbind()
        return TransformedDistribution(base, flow, variables)


class UniformOnSphere(nn.Module):
    """The uniform density on the unit sphere in `latent_dim` dimensions."""

    latent_dim: int
    dtype: Any = jnp.float32
    shares_inference = False

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        del condition
        return SphericalDistribution(self.latent_dim, self.dtype)


class UniformCodes(nn.Module):
    """All codes alike: P positions of C classes."""

    num_positions: int
    num_classes: int
    dtype: Any = jnp.float32
    shares_inference = False

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [P * C]."""
        del condition
        shape = (self.num_positions, self.num_classes)
        return OneHotCodes(jnp.zeros(shape, self.dtype))


class LearnedCodes(nn.Module):
    """A learned autoregressive distribution of codes: P positions of C classes.

    References:
      van den Oord et al. 2017, arXiv 1711.00937, sec. 3.3 (there a PixelCNN fitted
      after training); here a masked network (MADE) that learns along.
    """

    num_positions: int
    num_classes: int
    widths: Sequence[int]
    dtype: Any = jnp.float32
    shares_inference = False

    def setup(self) -> None:
        classes = self.num_classes
        self.network = Autoregressive(
            self.num_positions, classes, classes, self.widths, self.dtype
        )

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [P * C]."""
        del condition
        blank = jnp.zeros((self.num_positions, self.num_classes), self.dtype)
        if self.is_initializing():
            self.network(blank.reshape(-1))
        return AutoregressiveCodes(*self.network.unbind(), blank)


class Embedded(nn.Module):
    """A prior of codes, seen as vectors of the posterior's codebook."""

    codes: nn.Module
    codebook: nn.Module  # the posterior's own
    shares_inference = False

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [P * E]."""
        return EmbeddedCodes(self.codes(condition), self.codebook())

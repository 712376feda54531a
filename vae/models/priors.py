"""Priors p(z): modules that, called with the condition, return a distribution."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from numpyro.distributions import Independent, Normal

from vae.distributions import hyperspherical
from vae.distributions.categorical import AutoregressiveCodes, OneHotCodes
from vae.distributions.gaussians import DiagonalGaussianMixture
from vae.distributions.transformed import TransformedDistribution
from vae.fields import Count, Sizes
from vae.models.base import CODES, SPHERE, Posterior, Prior, check_space
from vae.nn import flows
from vae.nn.layers import dense, density_dtype
from vae.types import Distribution, Unsupported, is_image


class StandardNormal(Prior):
    """p(z) = N(0, I)."""

    latent_dim: int
    dtype: Any = jnp.float32

    can_pad = factorises = True

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        del condition
        zeros = jnp.zeros(self.latent_dim, density_dtype(self.dtype))
        return Independent(Normal(zeros, jnp.ones_like(zeros)), 1)


class ConditionalGaussian(Prior):
    """p(z | y) = N(mean(y), diag(scale(y)^2)), learned for each label y.

    References:
      Sohn et al. 2015, Learning Structured Output Representation using Deep
      Conditional Generative Models, sec. 4.1 (there given an image).
    """

    latent_dim: int
    dtype: Any = jnp.float32

    can_pad = is_conditional = True

    @nn.compact
    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Maps a condition [..., Y] to a distribution, batch shape [...]."""
        assert condition is not None, "see `VAE`"
        dtype = density_dtype(self.dtype)
        mean = dense(self.latent_dim, "mean", dtype)(condition)
        log_scale = dense(self.latent_dim, "log_scale", dtype)(condition)
        return Independent(Normal(mean, jnp.exp(log_scale)), 1)


class GaussianMixture(Prior):
    """A learned mixture of diagonal Gaussians.

    References:
      Dilokthanakul et al. 2016, arXiv 1611.02648; the "mixture of Gaussians prior"
      of Tomczak & Welling 2018, arXiv 1705.07120, sec. 4.3.
    """

    latent_dim: int
    num_components: Count = 500
    dtype: Any = jnp.float32

    can_pad = True

    @nn.compact
    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        del condition
        zeros, normal = nn.initializers.zeros, nn.initializers.normal(1.0)
        shape, dtype = (self.num_components, self.latent_dim), density_dtype(self.dtype)
        logits = self.param("logits", zeros, shape[:1], dtype)
        means = self.param("means", normal, shape, dtype)
        log_scales = self.param("log_scales", zeros, shape, dtype)
        return DiagonalGaussianMixture(logits, means, jnp.exp(log_scales))


class VampPrior(Prior):
    """p(z) = 1/K sum_k q(z | u_k): the posteriors of K learned pseudo-inputs.

    References:
      Tomczak & Welling 2018, arXiv 1705.07120, eq. 9.
    """

    encoder: nn.Module  # the model's own
    posterior: Posterior  # the model's own, a diagonal Gaussian
    start: Callable[[], np.ndarray]  # pseudo-inputs [K, *event] to start from
    dtype: Any = jnp.float32

    can_pad = shares_inference = True

    @nn.compact
    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        del condition
        pseudo_inputs = self.param(
            "pseudo_inputs",
            lambda key: jnp.asarray(self.start(), density_dtype(self.dtype)),
        )
        if is_image(pseudo_inputs.shape[1:]):
            # Images live in [0, 1]; the authors clip too (a hard tanh).
            pseudo_inputs = jnp.clip(pseudo_inputs, 0, 1)
        gaussian = self.posterior(self.encoder(pseudo_inputs)).base_dist
        logits = jnp.zeros(len(pseudo_inputs), gaussian.loc.dtype)
        return DiagonalGaussianMixture(logits, gaussian.loc, gaussian.scale)


def vamp(
    *,
    encoder: nn.Module,
    posterior: Posterior,
    examples: Callable[[int], np.ndarray],
    num_components: Count = 500,
    dtype: Any = jnp.float32,
) -> VampPrior:
    """Returns a VampPrior whose pseudo-inputs begin at training images.

    Args:
      encoder: the model's own.
      posterior: the model's own.
      examples: returns as many training examples [K, *event] as it is asked for, as
        the encoder sees them (`Likelihood.encoder_view`).
      num_components: K.
      dtype: of the layers.

    Raises:
      Unsupported: once drawn, if pixels of the images are outside [0, 1].
    """

    def start() -> np.ndarray:
        images = examples(num_components)
        low, high = images.min(), images.max()
        if is_image(images.shape[1:]) and (low < 0 or high > 1):
            raise Unsupported(
                f"needs pixels in [0, 1], but they range from {low:.4g} to {high:.4g}",
                "prior",
            )
        return images

    return VampPrior(encoder, posterior, start, dtype)


class FlowPrior(Prior):
    """A standard normal sent through a flow with an inverse.

    References:
      Dinh et al. 2017, arXiv 1605.08803 (RealNVP), as a prior: Chen et al. 2017,
      arXiv 1611.02731, sec. 3.2.
    """

    base: StandardNormal
    flow: flows.Chain

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        del condition
        base = self.base()
        if self.is_initializing():
            self.flow(base.mean)
        flow, variables = self.flow.unbind()
        return TransformedDistribution(base, flow, variables)


def realnvp(
    *,
    latent_dim: int,
    num_layers: Count = 4,
    widths: Sizes = (200,),
    dtype: Any = jnp.float32,
) -> FlowPrior:
    """Returns a prior of `flows.Coupling` layers."""
    shape = (latent_dim, widths, density_dtype(dtype))
    base = StandardNormal(latent_dim, dtype)
    return FlowPrior(base, flows.chain(num_layers, flows.Coupling, *shape))


class UniformOnSphere(Prior):
    """The uniform density on the unit sphere in `latent_dim` dimensions."""

    latent_dim: int
    dtype: Any = jnp.float32

    space = SPHERE

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [D]."""
        del condition
        dtype = density_dtype(self.dtype)
        return hyperspherical.UniformOnSphere(self.latent_dim, dtype)


class UniformCodes(Prior):
    """All codes alike: P positions of C classes."""

    num_positions: int
    num_classes: int
    dtype: Any = jnp.float32

    space = CODES

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [P * C]."""
        del condition
        shape = (self.num_positions, self.num_classes)
        return OneHotCodes(jnp.zeros(shape, density_dtype(self.dtype)))


class LearnedCodes(Prior):
    """A learned autoregressive distribution of codes: P positions of C classes.

    References:
      van den Oord et al. 2017, arXiv 1711.00937, sec. 3.3 (there a PixelCNN fitted
      after training); here a masked network (MADE) that learns along.
    """

    num_positions: int
    num_classes: int
    widths: Sizes
    dtype: Any = jnp.float32

    space = CODES

    def setup(self) -> None:
        classes, dtype = self.num_classes, density_dtype(self.dtype)
        self.network = flows.Autoregressive(
            self.num_positions, classes, classes, self.widths, dtype
        )

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Returns the distribution, batch shape [], event shape [P * C]."""
        del condition
        shape = (self.num_positions, self.num_classes)
        blank = jnp.zeros(shape, density_dtype(self.dtype))
        if self.is_initializing():
            self.network(blank.reshape(-1))
        return AutoregressiveCodes(*self.network.unbind(), blank)


def uniform_codes(
    *, latent_dim: int, posterior: Any, dtype: Any = jnp.float32
) -> Prior:
    """Returns `UniformCodes` for a posterior of discrete codes.

    Raises:
      Unsupported: its codes are not discrete.
    """
    check_space(CODES, posterior.space)
    codes = UniformCodes(latent_dim, posterior.num_classes, dtype)
    return posterior.wrap_prior(codes)


def autoregressive_codes(
    *,
    latent_dim: int,
    posterior: Any,
    widths: Sizes = (200,),
    dtype: Any = jnp.float32,
) -> Prior:
    """Returns `LearnedCodes` for a posterior of discrete codes.

    Raises:
      Unsupported: its codes are not discrete.
    """
    check_space(CODES, posterior.space)
    codes = LearnedCodes(latent_dim, posterior.num_classes, widths, dtype)
    return posterior.wrap_prior(codes)

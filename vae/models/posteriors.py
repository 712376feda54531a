"""Approximate posteriors q(z | x): the encoder's features become a distribution."""

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from numpyro.distributions import Independent, MultivariateNormal, Normal

from vae import rng
from vae.distributions import hyperspherical
from vae.distributions.categorical import OneHotCodes, Quantized
from vae.distributions.transformed import TransformedDistribution
from vae.fields import Count, Field, Positive, Sizes
from vae.models.base import CODES, SPHERE, Posterior, Prior
from vae.models.codebook import Codebook, Embedded, start_codebook
from vae.nn import flows
from vae.nn.layers import at_least_float32, dense, density_dtype
from vae.types import Distribution, Params, Unsupported


def exp(log_variance: jax.Array) -> jax.Array:
    """The standard deviation, without bounds.

    References:
      Kingma & Welling 2013, arXiv 1312.6114, appendix C.
    """
    return jnp.exp(log_variance / 2)


def bounded_exp(log_variance: jax.Array) -> jax.Array:
    """The standard deviation, with the bounds of the VampPrior's code.

    References:
      Tomczak & Welling 2018, arXiv 1705.07120.
    """
    return jnp.exp(jnp.clip(log_variance, -6, 2) / 2)


SCALES = {"exp": exp, "bounded_exp": bounded_exp, "softplus": nn.softplus}
Scale = Annotated[Callable[[jax.Array], jax.Array], Field(menu=SCALES)]


class _Continuous(Posterior):
    """Codes of `latent_dim` numbers."""

    latent_dim: int
    dtype: Any = jnp.float32

    @property
    def code_dim(self) -> int:
        return self.latent_dim


class DiagonalGaussian(_Continuous):
    """q(z | x) = N(mean(h), diag(scale(h))^2)."""

    scale: Scale = exp

    can_pad = True

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D]."""
        mean = dense(self.latent_dim, "mean", self.dtype)(features)
        name = "raw_scale" if self.scale is nn.softplus else "log_variance"
        raw_scale = dense(self.latent_dim, name, self.dtype)(features)
        mean, raw_scale = at_least_float32(mean, raw_scale)
        return Independent(Normal(mean, self.scale(raw_scale)), 1)


class FullGaussian(_Continuous):
    """q(z | x) = N(mean(h), L(h) L(h)^T), with L triangular and positive on its
    diagonal.

    References:
      Kingma & Welling 2019, arXiv 1906.02691, sec. 2.5.1.
    """

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D]."""
        size = self.latent_dim
        mean = dense(size, "mean", self.dtype)(features)
        log_diagonal = dense(size, "log_diagonal", self.dtype)(features)
        mean, log_diagonal = at_least_float32(mean, log_diagonal)
        rows, columns = jnp.tril_indices(size, -1)
        on = jnp.arange(size)
        tril = jnp.zeros((*mean.shape, size), mean.dtype)
        tril = tril.at[..., on, on].set(jnp.exp(log_diagonal))
        if size > 1:
            below = dense(len(rows), "below", self.dtype)(features)
            (below,) = at_least_float32(below)
            tril = tril.at[..., rows, columns].set(below)
        return MultivariateNormal(mean, scale_tril=tril)


class FlowPosterior(Posterior):
    """A diagonal Gaussian sent through a flow, which is conditioned on the features.

    References:
      Rezende & Mohamed 2015, arXiv 1505.05770; Kingma et al. 2016, arXiv 1606.04934.
    """

    base: DiagonalGaussian
    flow: flows.Chain

    @property
    def code_dim(self) -> int:
        return self.base.latent_dim

    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D]."""
        base = self.base(features)
        (context,) = at_least_float32(features)
        if self.is_initializing():
            self.flow(base.mean, context)
        flow, variables = self.flow.unbind()
        return TransformedDistribution(base, flow, variables, context)


def planar_flow(
    *,
    latent_dim: int,
    num_layers: Count = 2,
    scale: Scale = exp,
    dtype: Any = jnp.float32,
) -> FlowPosterior:
    """Returns a posterior of `flows.Planar` layers."""
    base = DiagonalGaussian(latent_dim, dtype, scale)
    shape = (latent_dim, density_dtype(dtype))
    return FlowPosterior(base, flows.chain(num_layers, flows.Planar, *shape))


def iaf(
    *,
    latent_dim: int,
    num_layers: Count = 2,
    widths: Sizes = (200,),
    scale: Scale = exp,
    dtype: Any = jnp.float32,
) -> FlowPosterior:
    """Returns a posterior of `flows.InverseAutoregressive` layers."""
    base = DiagonalGaussian(latent_dim, dtype, scale)
    shape = (latent_dim, widths, density_dtype(dtype))
    layers = flows.chain(num_layers, flows.InverseAutoregressive, *shape)
    return FlowPosterior(base, layers)


def coupling_flow(
    *,
    latent_dim: int,
    num_layers: Count = 2,
    widths: Sizes = (200,),
    scale: Scale = exp,
    dtype: Any = jnp.float32,
) -> FlowPosterior:
    """Returns a posterior of `flows.Coupling` layers."""
    base = DiagonalGaussian(latent_dim, dtype, scale)
    shape = (latent_dim, widths, density_dtype(dtype))
    return FlowPosterior(base, flows.chain(num_layers, flows.Coupling, *shape))


class VonMisesFisher(_Continuous):
    """q(z | x) on the unit sphere in `latent_dim` dimensions.

    The concentration is softplus + 1, as in the authors' code: below one the
    distribution is all but uniform.

    References:
      Davidson et al. 2018, arXiv 1804.00891 (S-VAE).

    Raises:
      Unsupported: there is one dimension, in which the sphere is two points.
    """

    space = SPHERE

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D]."""
        if self.latent_dim < 2:
            raise Unsupported("needs two latent dimensions or more", "posterior")
        mean = dense(self.latent_dim, "mean", self.dtype)(features)
        concentration = dense(1, "concentration", self.dtype)(features)[..., 0]
        mean, concentration = at_least_float32(mean, concentration)
        direction = mean / jnp.sqrt((mean**2).sum(-1, keepdims=True) + 1e-12)
        return hyperspherical.VonMisesFisher(direction, nn.softplus(concentration) + 1)


class Discrete(Posterior):
    """Codes of `num_classes` classes at each position."""

    space = CODES

    @nn.nowrap
    def wrap_prior(self, codes: Prior) -> Prior:
        """Turns a prior of one-hot codes into one of this posterior's codes."""
        return codes


class RelaxedCategorical(Discrete):
    """Categorical codes at `latent_dim` positions, relaxed while training.

    References:
      Jang et al. 2017, arXiv 1611.01144 (Gumbel-softmax), with its KL of the
      categorical distributions; Maddison et al. 2017, arXiv 1611.00712.
    """

    latent_dim: int
    num_classes: Count = 10
    temperature: Positive = 0.67
    dtype: Any = jnp.float32

    @property
    def code_dim(self) -> int:
        return self.latent_dim * self.num_classes

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D],
        D = latent_dim * num_classes."""
        logits = dense(self.code_dim, "logits", self.dtype)(features)
        (logits,) = at_least_float32(logits)
        shape = (*logits.shape[:-1], self.latent_dim, self.num_classes)
        return OneHotCodes(logits.reshape(shape), self.temperature)


class VectorQuantized(Discrete):
    """Codes at `latent_dim` positions, each the nearest vector of one codebook.

    References:
      van den Oord et al. 2017, arXiv 1711.00937 (VQ-VAE).
    """

    latent_dim: int
    num_classes: Count = 10
    embedding_dim: Count = 16
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.codebook = Codebook(self.num_classes, self.embedding_dim, self.dtype)

    @property
    def code_dim(self) -> int:
        return self.latent_dim * self.embedding_dim

    def vectors(self) -> jax.Array:
        """Returns the codebook [C, E]."""
        return self.codebook()

    @nn.nowrap
    def wrap_prior(self, codes: Prior) -> Prior:
        """See `Discrete`."""
        return Embedded(codes, self)

    @nn.compact
    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D],
        D = latent_dim * embedding_dim."""
        encodings = dense(self.code_dim, "encodings", self.dtype)(features)
        (encodings,) = at_least_float32(encodings)
        shape = (*encodings.shape[:-1], self.latent_dim, self.embedding_dim)
        return Quantized(encodings.reshape(shape), self.codebook())

    def ema_loss(
        self, posterior: Quantized, x: jax.Array, keys: jax.Array
    ) -> jax.Array:
        """See `Posterior`: the averages are those of the codebook."""
        del x
        keys = jax.vmap(lambda key: rng.named(key, "codebook"))(keys)
        return self.codebook.ema_loss(posterior, keys)

    @nn.nowrap
    def start(
        self, params: Params, infer: Callable[[], Quantized], key: jax.Array
    ) -> Params:
        """See `Posterior`: the codebook begins at encodings of the first images."""
        count, encodings = params["codebook"]["average_count"], infer().encodings
        encodings = encodings.reshape(-1, encodings.shape[-1])
        vectors = start_codebook(encodings, len(count), key)
        book = {**params["codebook"], "average_sum": count[:, None] * vectors}
        return {**params, "codebook": book}

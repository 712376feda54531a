"""A variational autoencoder with one group of latent variables."""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae import rng
from vae.distributions import reparameterization
from vae.distributions.observed import fill, of_observed
from vae.distributions.padded import in_use, restrict, restrict_codes
from vae.fields import Field
from vae.models.base import Likelihood, Posterior, Prior, check_space
from vae.models.posteriors import DiagonalGaussian
from vae.nn.layers import INITIALIZERS, Initializer, redraw_kernels
from vae.types import Distribution, Inference, LatentGroup, Params, Unsupported


class Encoded(NamedTuple):
    """What the encoder makes of images."""

    posterior: Any  # q(z | x), batch shape [B], or what groups are inferred from
    condition: jax.Array | None  # one-hot labels [B, Y]


class VAE(nn.Module):
    """p(x | z) p(z) with the approximate posterior q(z | x), by composition.

    With `num_labels`, encoder, decoder and prior are given the label. If the variables
    hold a `latent_dim` among `sizes`, the latent space is in use up to there, and the
    rest of its width is padding (`models.padding`).

    References:
      Kingma & Welling 2013, arXiv 1312.6114; Kingma et al. 2014, arXiv 1406.5298, eq.
      6, for the conditional model with labels observed; Mattei & Frellsen 2019, arXiv
      1812.02633, for missing values.

    Raises:
      Unsupported: the prior does not go with the posterior, the labels or missing
        values.
    """

    encoder: nn.Module  # [B, H, W, C], condition -> [B, F]
    posterior: Posterior  # [B, F] -> q(z | x)
    prior: Prior  # condition -> p(z)
    decoder: nn.Module  # [N, D], condition -> [N, H, W, C * features per channel]
    likelihood: Likelihood  # [..., H, W, C * features per channel] -> p(x | z)
    num_labels: int | None = None
    # Whether nan in x are missing values. The encoder sees zeros in their place, and a
    # mask of what was observed beside x; p(x | z) is that of the observed values.
    observed_only: bool = False
    # See `redraw_kernels`; None: Glorot's.
    initializer: Annotated[Initializer | None, Field(menu=INITIALIZERS)] = None

    def __post_init__(self) -> None:
        check_space(self.prior.space, self.posterior.space)
        if self.prior.shares_inference and not self.encodes_to_means:
            raise Unsupported(
                "mixes diagonal Gaussians of images without labels", "prior"
            )
        if self.prior.is_conditional and self.num_labels is None:
            raise Unsupported(
                "depends on the label, which the model is not given", "prior"
            )
        if self.observed_only and self.prior.shares_inference:
            raise Unsupported("encodes examples that have no missing values", "prior")
        if self.observed_only and self.likelihood.needs_all_values:
            raise Unsupported("needs every value of an example", "likelihood")
        super().__post_init__()

    @property
    def inference_parts(self) -> tuple[str, ...]:
        return ("encoder", "posterior")

    @property
    def space(self) -> str:
        return self.posterior.space

    @property
    def group_sizes(self) -> tuple[int, ...]:
        return (self.posterior.code_dim,)

    @property
    def code_dim(self) -> int:
        return sum(self.group_sizes)

    @property
    def rates_are_divergences(self) -> tuple[bool, ...]:
        return (True,)

    @property
    def shares_inference(self) -> bool:
        return self.prior.shares_inference

    @property
    def can_pad(self) -> bool:
        return self.posterior.can_pad and self.prior.can_pad

    @property
    def prior_factorises(self) -> bool:
        return self.prior.factorises

    @property
    def encodes_to_means(self) -> bool:
        return isinstance(self.posterior, DiagonalGaussian) and self.num_labels is None

    @nn.nowrap
    def init(self, rngs: jax.Array, *args: Any, **kwargs: Any) -> Params:
        """Returns the first variables; arguments are those of a call."""
        variables = super().init(rngs, *args, **kwargs)
        params = variables["params"]
        if self.initializer is not None:
            key = jax.random.fold_in(rngs, 1)
            params = redraw_kernels(params, self.initializer, key)

        def infer() -> Any:
            encoded: Any = self.apply(
                {"params": params}, args[0], label=kwargs.get("label"), method="encode"
            )
            return encoded.posterior

        key = jax.random.fold_in(rngs, 2)
        if "posterior" in params:
            start = self.posterior.start(params["posterior"], infer, key)
            params = {**params, "posterior": start}
        return {**variables, "params": params}

    def __call__(
        self,
        x: jax.Array,
        key: jax.Array,
        *,
        label: jax.Array | None = None,
        num_samples: int = 1,
        train: bool = False,
    ) -> Inference:
        """See `base.Model`: x [B, H, W, C], a key per example [B], labels [B]."""
        keys = rng.per_sample(key, jnp.arange(num_samples))
        encoded = self.encode(x, label=label, train=train)
        inference = self.infer(encoded, keys, train=train)
        of_posterior = self.posterior.ema_loss(encoded.posterior, x, key)
        of_likelihood = self.likelihood.ema_loss(inference.likelihood, x, key)
        ema_loss = of_posterior + of_likelihood
        return inference._replace(aux={**inference.aux, "ema_loss": ema_loss})

    def encode(
        self, x: jax.Array, *, label: jax.Array | None = None, train: bool = False
    ) -> Encoded:
        """Encodes images x [B, H, W, C], with labels [B] if the model has them."""
        del train  # none of the present layers behaves otherwise in training
        condition = self._condition(label)
        seen, is_observed = fill(x) if self.observed_only else (x, None)
        seen = self.likelihood.encoder_view(seen)
        if is_observed is not None:
            seen = jnp.concatenate([seen, is_observed.astype(seen.dtype)], -1)
        posterior = self._posterior_of(self.encoder(seen, condition))
        return Encoded(posterior, condition)

    def infer(
        self, encoded: Encoded, keys: jax.Array, *, train: bool = False
    ) -> Inference:
        """Samples the posterior with keys [K, B] and decodes the samples."""
        posterior, condition = encoded
        sample = reparameterization.sample_and_log_prob
        z, log_q = sample(posterior, keys, train=train)
        size = self.get_variable("sizes", "latent_dim")
        if size is not None:
            z = restrict_codes(z, size)
        prior = self._in_use(self.prior(condition))
        group = LatentGroup(z, log_q, posterior, prior, in_use(z.shape[-1], size))
        return Inference((group,), self._decode(z, condition), aux={})

    def decode(
        self, z: jax.Array, *, label: jax.Array | None = None, train: bool = False
    ) -> Distribution:
        """Returns p(x | z) for codes z [..., B, D]: batch shape [..., B]."""
        del train
        return self._decode(z, self._condition(label))

    def generate(
        self, key: jax.Array, num_samples: int, *, label: jax.Array | None = None
    ) -> Distribution:
        """Returns p(x | z) for `num_samples` codes drawn from the prior; a conditional
        model needs their labels [num_samples]."""
        prior = self.prior_of(label)
        shape = () if prior.batch_shape else (num_samples,)
        return self.decode(prior.sample(key, shape), label=label)

    def prior_of(self, label: jax.Array | None = None) -> Distribution:
        """Returns p(z), batch shape [], or p(z | y) of labels [B], batch shape [B]."""
        return self._in_use(self.prior(self._condition(label)))

    def _posterior_of(self, features: jax.Array) -> Any:
        """Returns what `Encoded` holds of the posterior, of features [B, F]."""
        return self._in_use(self.posterior(features))

    def _in_use(self, distribution: Distribution) -> Distribution:
        """Restricts a distribution of codes to the dimensions in use."""
        size = self.get_variable("sizes", "latent_dim")
        return distribution if size is None else restrict(distribution, size)

    def _condition(self, label: jax.Array | None) -> jax.Array | None:
        if self.num_labels is None:
            return None
        if label is None:
            raise ValueError("a conditional model needs labels")
        return jax.nn.one_hot(label, self.num_labels)

    def _decode(self, z: jax.Array, condition: jax.Array | None) -> Distribution:
        if condition is not None:
            shape = (*z.shape[:-1], condition.shape[-1])
            condition = jnp.broadcast_to(condition, shape).reshape(-1, shape[-1])
        features = self.decoder(z.reshape(-1, z.shape[-1]), condition)
        shape = (*z.shape[:-1], *features.shape[1:])
        event_dim = features.ndim - 1
        likelihood = self.likelihood(features.reshape(shape), event_dim=event_dim)
        return of_observed(likelihood) if self.observed_only else likelihood

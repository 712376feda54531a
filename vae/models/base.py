"""The contract of a model and of its parts: what objectives, evaluations and latent
tools may call, and the facts that they may ask for."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from flax import linen as nn

from vae.types import Distribution, Inference, Params, Unsupported

# Where codes live.
REALS, SPHERE, CODES = "the reals", "the sphere", "discrete codes"


def check_space(prior: str, posterior: str) -> None:
    """Refuses a prior over another space than the posterior's.

    Raises:
      Unsupported: so it is.
    """
    if prior != posterior:
        raise Unsupported(
            f"is over {prior}, but the posterior is over {posterior}", "prior"
        )


class Posterior(nn.Module):
    """The module that makes q(z | x)."""

    space = REALS
    can_pad = False  # whether it works in a wider latent space: `padded.restrict`

    @property
    def code_dim(self) -> int:
        """How many numbers a code has."""
        raise NotImplementedError

    def __call__(self, features: jax.Array) -> Distribution:
        """Maps features [B, F] to a distribution, batch shape [B], event shape [D]."""
        raise NotImplementedError

    def ema_loss(
        self, posterior: Any, x: jax.Array, keys: jax.Array
    ) -> jax.Array | float:
        """Returns zero, whose gradient moves moving averages (see `layers.ema`), for
        q(z | x) of images x [B, H, W, C] and a key per example [B]."""
        del posterior, x, keys
        return 0.0

    @nn.nowrap
    def start(self, params: Params, infer: Callable[[], Any], key: jax.Array) -> Params:
        """Returns the parameters to begin with: those drawn, or what depends on
        `infer()`, q(z | x) of the first images."""
        del infer, key
        return params


class Prior(nn.Module):
    """The module that makes p(z), or p(z | y)."""

    space = REALS
    can_pad = False  # whether it works in a wider latent space: `padded.restrict`
    shares_inference = False  # whether it holds modules by which q(z | x) is inferred
    factorises = False  # whether p(z) is a product of one density for all dimensions
    is_conditional = False  # whether it depends on the label

    def __call__(self, condition: jax.Array | None = None) -> Distribution:
        """Maps a condition [..., Y] to a distribution, event shape [D], batch shape
        [...] if the prior is conditional and [] if not."""
        raise NotImplementedError


class Likelihood(nn.Module):
    """The module that makes p(x | z), and says on which pixels it is a density."""

    is_discrete = False  # whether log p(x | z) is a mass
    support = ""  # in words
    advice = ""  # what to do with data outside of it
    features_per_channel = 1

    def __call__(self, features: jax.Array, *, event_dim: int) -> Distribution:
        """Maps features [..., H, W, num_features(C)] to a distribution, batch shape
        [...], event shape [H, W, C]: `event_dim` is 3. If it is 1, maps features
        [..., num_features(D)] to one of vectors [D]."""
        raise NotImplementedError

    def num_features(self, channels: int) -> int:
        """Returns how many features a pixel of so many channels has, or a vector.

        Raises:
          Unsupported: the likelihood needs another number of channels.
        """
        return channels * self.features_per_channel

    @staticmethod
    def supports(pixels: np.ndarray) -> bool:
        """Says if all pixels are in the support."""
        raise NotImplementedError

    def supports_observed(self, x: np.ndarray) -> bool:
        """Says if examples x [N, *event] are in the support, apart from missing values
        (nan)."""
        return self.supports(x[~np.isnan(x)])

    @staticmethod
    def encoder_view(x: Any) -> Any:
        """Returns what the encoder is given of pixels of any shape; of numpy arrays, a
        numpy array."""
        return x

    @classmethod
    def is_binary(cls) -> bool:
        """Says if pixels must be 0 or 1."""
        others = (cls.supports(np.array([other])) for other in (0.5, 1 / 255, 2.0))
        return cls.supports(np.array([0.0, 1.0])) and not any(others)

    def features_of_mean(self, mean: np.ndarray) -> np.ndarray:
        """Returns the features at which the mean image is `mean`."""
        raise NotImplementedError

    @property
    def needs_all_values(self) -> bool:
        """Whether no value of an example may be missing: its average would be."""
        return type(self).ema_loss is not Likelihood.ema_loss

    def ema_loss(
        self, likelihood: Any, x: jax.Array, keys: jax.Array
    ) -> jax.Array | float:
        """As `Posterior.ema_loss`, for p(x | z) of batch shape [K, B]."""
        del likelihood, x, keys
        return 0.0


@runtime_checkable
class Model(Protocol):
    """A Linen module; its methods run inside `model.apply({"params": ...}, ...)`.

    Labels [B] are read by conditional models only; others take None.
    """

    num_labels: int | None  # how many labels a conditional model tells apart
    posterior: Posterior
    prior: Prior
    likelihood: Likelihood
    observed_only: bool  # whether nan in x are missing values

    @property
    def inference_parts(self) -> tuple[str, ...]:
        """The names of the parts by which q(z | x) is inferred; the others belong to
        p(x, z)."""
        ...

    @property
    def space(self) -> str:
        """Where codes live: `REALS`, `SPHERE` or `CODES`."""
        ...

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """How many numbers a code of each group has."""
        ...

    @property
    def code_dim(self) -> int:
        """How many numbers a code has, of all groups."""
        ...

    @property
    def rates_are_divergences(self) -> tuple[bool, ...]:
        """Whether the rate of each group is a KL divergence, and so never negative."""
        ...

    @property
    def shares_inference(self) -> bool:
        """Whether q(z | x) and p(x, z) have parameters in common."""
        ...

    @property
    def can_pad(self) -> bool:
        """Whether the latent space may be wider than what is used of it."""
        ...

    @property
    def prior_factorises(self) -> bool:
        """Whether p(z) is a product of one density for all dimensions."""
        ...

    @property
    def encodes_to_means(self) -> bool:
        """Whether q(z | x) is a diagonal Gaussian that depends on the image alone."""
        ...

    def __call__(
        self,
        x: jax.Array,
        key: jax.Array,
        *,
        label: jax.Array | None = None,
        num_samples: int = 1,
        train: bool = False,
    ) -> Inference:
        """Infers `num_samples` latent codes of each image x [B, H, W, C] and decodes
        them; `key` holds a key per example [B] (`rng.per_example`)."""
        ...

    def encode(
        self, x: jax.Array, *, label: jax.Array | None = None, train: bool = False
    ) -> Any:
        """Returns all that `infer` needs of the images: a pytree of the model's own."""
        ...

    def infer(self, encoded: Any, keys: jax.Array, *, train: bool = False) -> Inference:
        """Samples what was encoded with keys [K, B]: `__call__` is
        `infer(encode(x), rng.per_sample(key, arange(num_samples)))`."""
        ...

    def decode(
        self, z: jax.Array, *, label: jax.Array | None = None, train: bool = False
    ) -> Distribution:
        """Returns p(x | z) for codes z [..., B, D], batch shape [..., B]."""
        ...

    def prior_of(self, label: jax.Array | None = None) -> Distribution:
        """Returns p(z), or p(z | y) of labels [B], batch shape [] or [B]."""
        ...

    def generate(
        self, key: jax.Array, num_samples: int, *, label: jax.Array | None = None
    ) -> Distribution:
        """Returns p(x | z) for `num_samples` codes drawn from the prior."""
        ...

    def init(self, rngs: jax.Array, *args: Any, **kwargs: Any) -> Params: ...

    def apply(self, variables: Params, *args: Any, **kwargs: Any) -> Any: ...

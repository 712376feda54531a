"""The contract of a model: what objectives, evaluations and latent tools may call."""

from typing import Any, Protocol

import jax

from vae.types import Distribution, Inference, Params


class Model(Protocol):
    """A Linen module; its methods run inside `model.apply({"params": ...}, ...)`."""

    likelihood: Any  # the module that makes p(x | z); says if it `is_discrete`

    def __call__(
        self, x: jax.Array, key: jax.Array, *, num_samples: int = 1, train: bool = False
    ) -> Inference:
        """Infers `num_samples` latent codes of each image x [B, H, W, C] and decodes
        them; `key` holds a key per example [B] (`rng.per_example`)."""
        ...

    def encode(self, x: jax.Array, *, train: bool = False) -> Distribution:
        """Returns q(z | x), batch shape [B]."""
        ...

    def infer(
        self, posterior: Distribution, keys: jax.Array, *, train: bool = False
    ) -> Inference:
        """Samples an already encoded posterior with keys [K, B]: `__call__` is
        `infer(encode(x), rng.per_sample(key, arange(num_samples)))`."""
        ...

    def decode(self, z: jax.Array, *, train: bool = False) -> Distribution:
        """Returns p(x | z) for codes z [..., D], batch shape [...]."""
        ...

    def prior(self) -> Distribution:
        """Returns p(z)."""
        ...

    def generate(self, key: jax.Array, num_samples: int) -> Distribution:
        """Returns p(x | z) for `num_samples` codes drawn from the prior."""
        ...

    def init(self, rngs: jax.Array, *args: Any, **kwargs: Any) -> Params: ...

    def apply(self, variables: Params, *args: Any, **kwargs: Any) -> Any: ...

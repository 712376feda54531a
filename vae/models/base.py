"""The contract of a model: what objectives, evaluations and latent tools may call."""

from typing import Any, Protocol

import jax

from vae.types import Distribution, Inference, Params


class Model(Protocol):
    """A Linen module; its methods run inside `model.apply({"params": ...}, ...)`.

    Labels [B] are read by conditional models only; others take None.
    """

    num_labels: int | None  # how many labels a conditional model tells apart
    posterior: Any  # the module that makes q(z | x); says its `code_dim`
    prior: Any  # the module that makes p(z), or p(z | y) of one-hot labels y
    likelihood: Any  # the module that makes p(x | z); says if it `is_discrete`
    # The names of the parameters' parts by which q(z | x) is inferred; the others
    # belong to p(x, z).
    inference_parts: tuple[str, ...]

    @property
    def encodes_to_means(self) -> bool:
        """Whether codes have a mean in the reals that depends on the image alone."""
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

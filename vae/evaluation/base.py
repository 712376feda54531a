"""What an evaluation is, and what it is given."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from vae import rng
from vae.data.factors import FactorSource
from vae.data.preprocess import Preprocess
from vae.data.splits import Dataset, Split
from vae.models.base import Model
from vae.types import Array, Params


class Subject(NamedTuple):
    """A model and its data."""

    model: Model  # its latent space may be padded
    preprocess: Preprocess
    dataset: Dataset
    factors: FactorSource | None  # of the data, if they are known
    anomalies: Split | None  # test images that the model should find unlikely
    latent_dim: int
    code_dim: int  # how many numbers a code has; the rest of its width is padding
    binarize: str
    keep_labels: tuple[int, ...]  # of the examples that it is trained on; (): all


class Trained(NamedTuple):
    """A trained model, and how to compute with it."""

    subject: Subject
    variables: Params
    seed: Array
    cut: Callable[[Params], Params]  # to the variables of a model without padding
    # (make, *arguments) -> make(model, preprocess, *arguments), jitted and shared by
    # all runs of a program; with `latent_dim`, of the model at its own size.
    compiled: Callable[..., Callable[..., Any]]
    # (split, its name, number of samples K, on_batch) -> `ImageBounds` [N]
    bounds: Callable[..., Any]
    importance_samples: int  # K of bounds on log p(x)
    batch_size: int  # images evaluated at once; changes no result
    device: Any  # the first of this host
    training: Mapping[str, Any]  # what `collapse.judge` asks of it
    display: Callable[[np.ndarray], np.ndarray]  # pixels -> pixels in [0, 1]
    results: Mapping[str, Any]  # so far
    average: "Trained | None" = None  # the same with the average of the weights, if any
    # Hears how many images each batch had; may raise.
    on_batch: Callable[[int], None] = lambda images: None

    @property
    def own_variables(self) -> Params:
        """The variables of the model at its own size."""
        return self.cut(self.variables)

    def compiled_own(
        self, make: Callable[..., Any], *arguments: Any
    ) -> Callable[..., Any]:
        """Returns `compiled`, of the model at its own size."""
        return self.compiled(make, *arguments, latent_dim=self.subject.latent_dim)

    def on_one_device(self) -> "Trained":
        """Returns what computes on the first device of this host."""
        arrays = jax.device_get((self.variables, self.seed))
        variables, seed = jax.device_put(arrays, self.device)
        return self._replace(variables=variables, seed=seed)


def _always(subject: Subject, **fields: Any) -> None:
    del subject, fields


class Evaluation(NamedTuple):
    """A kind of results of a trained model.

    The keyword-only parameters of `run` are its fields of the configuration (see
    `vae.fields`); the other functions are given them, too.
    """

    # (trained, *, fields) -> results by name; arrays among them become files
    run: Callable[..., dict[str, Any]]
    # (K of the bounds, *, fields) -> results that show that it is done; None: any value
    shows: Callable[..., dict[str, Any]]
    # (subject, *, fields) -> why it cannot be done, as a phrase; None: it can
    applies: Callable[..., str | None] = _always
    switch: str | None = None  # the field that turns it on; None: it is always on
    replaces: tuple[str, ...] = ()  # begin the names of earlier results that go
    newer: tuple[str, ...] = ()  # of `shows`: what results of early versions lack
    # (subject, *, fields) -> images looked at, where they take long
    images: Callable[..., int] = lambda subject, **fields: 0
    on_all_hosts: bool = False  # otherwise the first host alone runs it

    def is_on(self, fields: Mapping[str, Any]) -> bool:
        return self.switch is None or bool(fields[self.switch])


def map_batches(
    function: Callable[[np.ndarray], Any],
    places: np.ndarray,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda images: None,
) -> Any:
    """Computes something of the images at places [N], each counted once.

    Args:
      function: (places int32 [B]) -> a tree of arrays [B, ...].
      places: of the images.
      batch_size: B; the last batch is filled up with images of its own.
      on_batch: hears how many images each batch had.

    Returns:
      The tree, with arrays [N, ...].
    """
    parts = []
    for start in range(0, len(places), batch_size):
        some = places[start : start + batch_size].astype(np.int32)
        found = function(np.resize(some, batch_size))
        # Where memory lacks, the former raises; the latter alone would wait for ever.
        part = jax.device_get(jax.block_until_ready(found))
        count = len(some)
        parts.append(jax.tree.map(lambda array, n=count: array[:n], part))
        on_batch(count)
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def look_at(
    preprocess: Preprocess,
    seed: jax.Array,
    stored: Split,
    places: jax.Array,
    *,
    name: str,
) -> tuple[jax.Array, jax.Array]:
    """Returns stored images of the split called `name` as the model sees them
    [B, H, W, C], and the key of each one's noise [B]; both depend on its place."""
    preprocess_keys = rng.per_example(rng.stream(seed, f"{name}_data"), places)
    keys = rng.per_example(rng.stream(seed, f"{name}_latent"), places)
    return preprocess(stored.images, preprocess_keys), keys


def mean_and_error(name: str, values: np.ndarray) -> dict[str, float]:
    """Returns the mean of values [N] as `{name}_nats`, and its standard error as
    `{name}_stderr`, which a single value does not have."""
    results = {f"{name}_nats": float(values.mean())}
    if len(values) > 1:
        results[f"{name}_stderr"] = standard_error(values)
    return results


def standard_error(values: np.ndarray) -> float:
    """Returns the standard error of the mean of values [N], N > 1."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))

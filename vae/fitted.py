"""A trained VAE as pure, jitted functions of arrays."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray, Shaped

from vae import rng
from vae.data.columns import Column, value_names
from vae.data.given import as_stored, check_label
from vae.data.scaling import Scaling
from vae.data.splits import Split
from vae.evaluation.base import Preprocess, look_at
from vae.evaluation.bounds import ImageBounds, make_importance_bound
from vae.evaluation.impute import Imputed, make_impute
from vae.latents import groups
from vae.models.base import CODES, SPHERE, Model
from vae.objectives.base import moments_of_example
from vae.types import Array, Codes, Estimate, Params, Unsupported

POSTERIOR_SAMPLES = 100  # of posteriors whose moments have no closed form

Events = Shaped[Array, "N ..."]  # images [N, H, W, C] or vectors [N, D]
Labels = Int[Array, " N"] | None


class FittedVAE:
    """A model with its parameters and its preprocessing.

    Examples x, images [N, H, W, C] or vectors [N, D], are as the training data were:
    bytes in 0..255, or floats. If training drew binary values, these functions do too;
    the draw depends on the place of an example in x alone, so that a call repeated
    gives the same numbers. Means are in [0, 1] for bytes. Vectors that were scaled for
    training are scaled here, and means and log-densities are in the units of the data.
    Labels [N] are for conditional models.

    Attributes:
      model: the Linen module, without padding.
      variables: what `model.apply` takes.
      value_names: of the values of a table's rows, [D] texts; [] without a table.
      label_names: of the labels 0, 1, ... where they were texts; () if they were not.
      history: training metrics, a dictionary for each logged step; () if it was loaded.
    """

    def __init__(
        self,
        model: Model,
        variables: Params,
        *,
        event_shape: Sequence[int],
        dtype: Any,
        preprocess: Preprocess,
        scaling: Scaling | None = None,
        columns: Sequence[Column] = (),
        label_names: Sequence[str] = (),
        history: Sequence[dict[str, Any]] = (),
    ):
        self.model, self.variables, self.history = model, variables, history
        self.event_shape, self.dtype = tuple(event_shape), np.dtype(dtype)
        self._preprocess, self._scaling = preprocess, scaling
        self.value_names = value_names(columns, 0)
        self.label_names = tuple(label_names)
        self._encode = jax.jit(self._encode_now)
        self._reconstruct = jax.jit(self._reconstruct_now)
        self._decode = jax.jit(self._decode_now)
        self._draw = jax.jit(partial(groups.sample, model), static_argnums=(2, 5))
        self._bounds = jax.jit(self._bounds_now, static_argnums=3)
        self._impute = jax.jit(self._impute_now, static_argnums=3)

    def encode(self, x: Array, label: Array | None = None, *, first: int = 0) -> Codes:
        """Returns the codes of examples x; for `first` see `bounds`."""
        x = self._checked(x, label)
        return self._encode(self.variables, x, label, first)[0]

    def decode(
        self, z: Float[Array, "*N D"], label: Labels = None
    ) -> Float[jax.Array, "..."]:
        """Returns the means [..., *event] of p(x | z) for codes z [..., D]."""
        check_label(label, self.model.num_labels)
        width = self.model.code_dim
        if isinstance(z, Codes):
            raise TypeError("decode takes an array of codes: give codes.mean")
        if np.shape(z)[-1:] != (width,):
            raise ValueError(f"z must be [..., {width}], but is {list(np.shape(z))}")
        return self._decode(self.variables, jnp.asarray(z), label)

    def reconstruct(self, x: Events, label: Labels = None) -> Float[jax.Array, "N ..."]:
        """Returns the means of p(x | z) at the posterior mean of z; of discrete codes,
        at a sample."""
        return self._reconstruct(self.variables, self._checked(x, label), label)

    def sample(
        self,
        key: PRNGKeyArray,
        count: int,
        label: Labels = None,
        *,
        temperature: float | Sequence[float] = 1.0,
        mean: bool = True,
    ) -> Float[jax.Array, "{count} ..."]:
        """Returns examples [count, *event] of codes from the prior, in the units of the
        data (of bytes, in [0, 1]).

        Args:
          key: of the codes, and of draws from p(x | z).
          count: how many.
          label: [count], of a conditional model.
          temperature: multiplies the prior's standard deviation: one number, or one for
            each group of codes, the lowest first.
          mean: whether examples are the means of p(x | z), or else draws from it.

        Raises:
          ValueError: a label is unknown; a temperature is missing, negative, infinite.
          Unsupported: the highest group's prior has no temperature.
        """
        check_label(label, self.model.num_labels)
        scale = groups.of_dimensions("temperature", temperature, self.model.group_sizes)
        changed = bool((scale != 1).any()), bool(scale[-1] != 1)
        z = self._draw(self.variables, key, count, label, scale, changed)
        of_event = None if mean else rng.named(key, "event")
        return self._decode(self.variables, z, label, of_event)

    def log_prob(
        self, x: Events, num_samples: int = 100, label: Labels = None
    ) -> Estimate:
        """Bounds log p(x) of examples x from below, by importance sampling.

        References:
          Burda et al. 2015, arXiv 1509.00519, eq. 8.
        """
        bounds = self.bounds(x, num_samples, label)
        ess: Any = bounds.effective_sample_size
        # A single sample does not show how much samples differ.
        known = jnp.maximum(1 / ess - 1 / num_samples, 0)
        variance = known if num_samples > 1 else jnp.full_like(known, jnp.nan)
        return Estimate(jnp.asarray(bounds.log_likelihood), jnp.sqrt(variance))

    def bounds(
        self,
        x: Events,
        num_samples: int = 1,
        label: Labels = None,
        *,
        first: int = 0,
    ) -> ImageBounds:
        """Returns rate, distortion and more of examples x, in nats.

        For examples in several calls, `first` is the place of x[0] among all: random
        draws depend on the place, so that all at once give the same numbers.
        """
        x = self._checked(x, label)
        return self._bounds(self.variables, x, label, num_samples, first)

    def impute(
        self,
        x: Events,
        num_samples: int = 1000,
        num_draws: int = 0,
        label: Labels = None,
        *,
        first: int = 0,
    ) -> Imputed:
        """Returns mean, standard deviation and draws of the missing values (nan) of
        vectors x, given the others; for `first` see `bounds`.

        Args:
          x: [N, D].
          num_samples: of the importance sampling; the result is exact as it grows.
          num_draws: multiple imputations, M.
          label: [N], of a conditional model.

        Raises:
          ValueError: the model was not trained with `dataset.missing=observed_only`.
          Unsupported: of values scaled by log1p no moments are known.
        """
        if not self.model.observed_only:
            raise ValueError("the model takes no missing values")
        if self._scaling is not None and self._scaling.is_log.any():
            raise Unsupported("has no moments in the units of the data")
        x = self._checked(x, label)
        counts = num_samples, num_draws
        found = self._impute(self.variables, x, label, counts, first)
        is_missing = jnp.isnan(jnp.asarray(x))
        return found._replace(  # scaling there and back has rounded the others
            mean=jnp.where(is_missing, found.mean, x),
            draws=jnp.where(is_missing, found.draws, x),
        )

    def interpolate(
        self,
        a: Shaped[Array, "..."],
        b: Shaped[Array, "..."],
        num_points: int = 8,
        label: int | np.integer | None = None,
        *,
        moves: Sequence[bool] | None = None,
    ) -> Float[jax.Array, "{num_points} ..."]:
        """Returns means [num_points, *event] between examples a and b, along the
        straight line of their codes, or the arc on a sphere. Of several groups of codes
        those that `moves` says go (None: all), and the groups below follow them.

        Raises:
          ValueError: the codes are discrete.
        """
        if self.model.space == CODES:
            raise ValueError("discrete codes have no points between them")
        for end in (a, b):
            if np.shape(end) != self.event_shape:
                shapes = list(self.event_shape), list(np.shape(end))
                raise ValueError("a and b must be {}, but one is {}".format(*shapes))
        pair = None if label is None else jnp.broadcast_to(label, 2)
        ends = self._centre(self.encode(jnp.stack([a, b]), pair).mean)
        between = groups.between(
            self.model, self.variables, ends, num_points, pair, moves
        )
        labels = None if label is None else jnp.broadcast_to(label, num_points)
        return self.decode(between, labels)

    def _checked(self, x: Array, label: Any = None) -> Array:
        """Returns examples as they are preprocessed.

        Raises:
          ValueError: they are of another shape or type than the training data, or the
            label has no use.
        """
        check_label(label, self.model.num_labels)
        return as_stored(x, self.event_shape, self.dtype)

    def _look(self, x: Array, first: Array | int) -> tuple[jax.Array, jax.Array]:
        """Returns images as the model sees them, and a key for each."""
        stored = jnp.asarray(x if self._scaling is None else self._scaling.apply(x))
        images, places = Split(stored, None), first + jnp.arange(len(x))
        seed = jnp.zeros((), jnp.uint32)
        return look_at(
            self._preprocess, seed, images, jnp.asarray(places), name="given"
        )

    def _encode_now(
        self, variables: Params, x: Array, label: Any, first: Array | int
    ) -> tuple[Codes, jax.Array]:
        """Returns codes, and a sample [N, D] of them."""
        images, keys = self._look(x, first)
        apply: Callable[..., Any] = self.model.apply
        encoded = apply(variables, images, label=label, method="encode")
        sample_keys = rng.per_sample(keys, jnp.arange(POSTERIOR_SAMPLES))
        inference = apply(variables, encoded, sample_keys, method="infer")
        moments = [
            moments_of_example(group, "mean", "variance")
            or [group.z.mean(0), group.z.var(0)]
            for group in inference.groups
        ]
        mean, variance = (jnp.concatenate(m, -1) for m in zip(*moments, strict=True))
        return Codes(mean, jnp.sqrt(variance)), inference.codes[0]

    def _reconstruct_now(
        self, variables: Params, x: Array, label: Array | None
    ) -> jax.Array:
        codes, sample = self._encode_now(variables, x, label, 0)
        z = sample if self.model.space == CODES else self._centre(codes.mean)
        return self._decode(variables, z, label)

    def _decode_now(
        self, variables: Params, z: Array, label: Any, key: Any = None
    ) -> jax.Array:
        """Returns the means of p(x | z); with a key, draws from it."""
        apply: Callable[..., Any] = self.model.apply
        likelihood = apply(variables, z, label=label, method="decode")
        x = likelihood.mean if key is None else likelihood.sample(key)
        x = x.astype(likelihood.mean.dtype)
        return x if self._scaling is None else jnp.asarray(self._scaling.invert(x))

    def _bounds_now(
        self, variables: Params, x: Array, label: Any, num_samples: int, first: Any
    ) -> ImageBounds:
        images, keys = self._look(x, first)
        bounds = make_importance_bound(self.model, num_samples)(
            variables, images, label, keys
        )
        if self._scaling is None:
            return bounds
        return bounds.in_units_of_data(self._scaling.log_jacobian(images))

    def _impute_now(
        self, variables: Params, x: Array, label: Any, counts: Any, first: Any
    ) -> Imputed:
        images, keys = self._look(x, first)
        impute = make_impute(self.model, *counts)
        found = impute(variables, images, label, keys)
        return found if self._scaling is None else found.in_units_of_data(self._scaling)

    def _centre(self, mean: Array) -> jax.Array:
        """Returns the code [..., D] that stands for a posterior of this mean."""
        if self.model.space != SPHERE:
            return jnp.asarray(mean)
        return mean / jnp.linalg.norm(mean, axis=-1, keepdims=True)

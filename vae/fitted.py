"""A trained VAE as pure, jitted functions of arrays."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray, Shaped

from vae import rng
from vae.data.splits import Split
from vae.evaluation.base import Preprocess, look_at
from vae.evaluation.bounds import ImageBounds, make_importance_bound
from vae.latents.interpolate import linear, spherical
from vae.models.base import CODES, SPHERE, Model
from vae.types import Array, Params

POSTERIOR_SAMPLES = 100  # of posteriors whose moments have no closed form


Images = Shaped[Array, "N H W C"]
Labels = Int[Array, " N"] | None


class Codes(NamedTuple):
    """Mean and standard deviation of q(z | x).

    For a posterior without closed form, such as a flow, both are estimated from 100
    samples.
    """

    mean: Float[Array, "N D"]
    scale: Float[Array, "N D"]


class Estimate(NamedTuple):
    """An importance-weighted bound L_K on log p(x) and its standard error, in nats."""

    value: Float[Array, " N"]
    standard_error: Float[Array, " N"]  # by the delta method; nan for K = 1


class FittedVAE:
    """A model with its parameters and its preprocessing.

    Images x [N, H, W, C] are as the training data were: bytes in 0..255, or floats. If
    training drew binary pixels, these functions do too; the draw depends on the place
    of an image in x alone, so that a call repeated gives the same numbers. Mean images
    are in the model's units, [0, 1] for bytes. Labels [N] are for conditional models.

    Attributes:
      model: the Linen module, without padding.
      variables: what `model.apply` takes.
      history: training metrics, a dictionary for each logged step; () if it was loaded.
    """

    def __init__(
        self,
        model: Model,
        variables: Params,
        *,
        image_shape: Sequence[int],
        preprocess: Preprocess,
        history: Sequence[dict[str, Any]] = (),
    ):
        self.model, self.variables, self.history = model, variables, history
        self.image_shape = tuple(image_shape)
        self._preprocess = preprocess
        self._encode = jax.jit(self._encode_now)
        self._reconstruct = jax.jit(self._reconstruct_now)
        self._decode = jax.jit(
            lambda variables, z, label: (
                model.apply(variables, z, label=label, method="decode").mean
            )
        )
        self._generate = jax.jit(
            lambda variables, key, num_images, label: (
                model.apply(
                    variables, key, num_images, label=label, method="generate"
                ).mean
            ),
            static_argnums=2,
        )
        self._bounds = jax.jit(self._bounds_now, static_argnums=3)

    def encode(self, x: Array, label: Array | None = None, *, first: int = 0) -> Codes:
        """Returns the codes of images x [N, H, W, C]; `first` as for `bounds`."""
        codes, _ = self._encode(self.variables, self._checked(x), label, first)
        return codes

    def decode(
        self, z: Float[Array, "*N D"], label: Labels = None
    ) -> Float[jax.Array, "*N H W C"]:
        """Returns the mean images [..., H, W, C] of p(x | z) for codes z [..., D]."""
        return self._decode(self.variables, jnp.asarray(z), label)

    def reconstruct(
        self, x: Images, label: Labels = None
    ) -> Float[jax.Array, "N H W C"]:
        """Returns the mean images [N, H, W, C] of p(x | z) at the posterior mean of z;
        of discrete codes, at a sample."""
        return self._reconstruct(self.variables, self._checked(x), label)

    def sample(
        self, key: PRNGKeyArray, num_images: int, label: Labels = None
    ) -> Float[jax.Array, "{num_images} H W C"]:
        """Returns the mean images [num_images, H, W, C] of p(x | z), z from the
        prior."""
        return self._generate(self.variables, key, num_images, label)

    def log_prob(
        self, x: Images, num_samples: int = 100, label: Labels = None
    ) -> Estimate:
        """Bounds log p(x) of images x [N, H, W, C] from below, by importance sampling.

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
        x: Images,
        num_samples: int = 1,
        label: Labels = None,
        *,
        first: int = 0,
    ) -> ImageBounds:
        """Returns rate, distortion and more of images x [N, H, W, C], in nats.

        For images in several calls, `first` is the place of x[0] among all: random
        draws depend on the place, so that all images at once give the same numbers.
        """
        x = self._checked(x)
        return self._bounds(self.variables, x, label, num_samples, first)

    def interpolate(
        self,
        a: Shaped[Array, "H W C"],
        b: Shaped[Array, "H W C"],
        num_points: int = 8,
        label: int | np.integer | None = None,
    ) -> Float[jax.Array, "{num_points} H W C"]:
        """Returns mean images [num_points, H, W, C] between images a and b [H, W, C],
        along the straight line of their codes, or the arc on a sphere.

        Raises:
          ValueError: the codes are discrete.
        """
        if self.model.space == CODES:
            raise ValueError("discrete codes have no points between them")
        pair = None if label is None else jnp.broadcast_to(label, 2)
        start, end = self.encode(jnp.stack([a, b]), pair).mean
        curve = spherical if self.model.space == SPHERE else linear
        between = curve(self._centre(start), self._centre(end), num_points)
        labels = None if label is None else jnp.broadcast_to(label, num_points)
        return self.decode(between, labels)

    def _checked(self, x: Array) -> Array:
        if np.shape(x)[1:] != self.image_shape:
            wanted = ", ".join(map(str, self.image_shape))
            raise ValueError(f"x must be [N, {wanted}], but is {list(np.shape(x))}")
        return x

    def _look(self, x: Array, first: Array | int) -> tuple[jax.Array, jax.Array]:
        """Returns images as the model sees them, and a key for each."""
        images, places = Split(jnp.asarray(x), None), first + jnp.arange(len(x))
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
        groups = apply(variables, encoded, sample_keys, method="infer").groups
        z = jnp.concatenate([group.z for group in groups], -1)
        try:
            moments = [(g.posterior.mean, g.posterior.variance) for g in groups]
        except NotImplementedError:
            return Codes(z.mean(0), z.std(0)), z[0]
        means, variances = zip(*moments, strict=True)
        scale = jnp.sqrt(jnp.concatenate(variances, -1))
        return Codes(jnp.concatenate(means, -1), scale), z[0]

    def _reconstruct_now(
        self, variables: Params, x: Array, label: Array | None
    ) -> jax.Array:
        codes, sample = self._encode_now(variables, x, label, 0)
        z = sample if self.model.space == CODES else self._centre(codes.mean)
        return self._decode(variables, z, label)

    def _bounds_now(
        self,
        variables: Params,
        x: Array,
        label: Any,
        num_samples: int,
        first: Array | int,
    ) -> ImageBounds:
        images, keys = self._look(x, first)
        return make_importance_bound(self.model, num_samples)(
            variables, images, label, keys
        )

    def _centre(self, mean: Array) -> Array:
        """Returns the code [..., D] that stands for a posterior of this mean."""
        if self.model.space != SPHERE:
            return mean
        return mean / jnp.linalg.norm(mean, axis=-1, keepdims=True)

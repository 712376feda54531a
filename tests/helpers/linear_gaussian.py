"""A model whose log p(x) is known: p(z) = N(0, I), p(x | z) = N(W z, s^2 I).

References:
  Bishop 2006, Pattern Recognition and Machine Learning, eq. 2.113 to 2.117.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from scipy import stats

from vae.models.likelihoods import Gaussian
from vae.models.posteriors import DiagonalGaussian
from vae.models.priors import StandardNormal
from vae.models.vae import VAE
from vae.nn.decoders import MLPDecoder
from vae.nn.encoders import MLPEncoder
from vae.objectives.base import Moment, elbo_terms, infer
from vae.types import Batch, ElboTerms, Inference

LATENT_DIM, SCALE, IMAGE_SHAPE = 2, 0.5, (2, 2, 1)
_columns = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 2)))[0]
WEIGHTS = _columns * [1.5, 0.7]  # orthogonal, so the posterior is diagonal
MODEL = VAE(
    encoder=MLPEncoder((), nn.relu),
    posterior=DiagonalGaussian(LATENT_DIM),
    prior=StandardNormal(LATENT_DIM),
    decoder=MLPDecoder(IMAGE_SHAPE, (), nn.relu),
    likelihood=Gaussian(SCALE),
)


@functools.partial(jax.jit, static_argnums=3)
def terms(params: Any, x: np.ndarray, keys: jax.Array, num_samples: int) -> ElboTerms:
    """The terms of the bound of images [B, 2, 2, 1] with keys [B], K samples each."""
    inference = MODEL.apply({"params": params}, x, keys, num_samples=num_samples)
    return elbo_terms(inference, x)


def images(count: int) -> np.ndarray:
    """Draws images [count, 2, 2, 1] from the model."""
    random = np.random.default_rng(1)
    z = random.normal(size=(count, LATENT_DIM))
    x = z @ WEIGHTS.T + SCALE * random.normal(size=(count, 4))
    return x.reshape(count, *IMAGE_SHAPE).astype(np.float32)


def log_prob(x: np.ndarray) -> np.ndarray:
    """Returns log p(x) [N] in nats."""
    covariance = WEIGHTS @ WEIGHTS.T + SCALE**2 * np.eye(4)
    return stats.multivariate_normal(np.zeros(4), covariance).logpdf(x.reshape(-1, 4))


def params(posterior_shift: float = 0.0, posterior_widening: float = 1.0) -> Any:
    """Returns parameters whose q(z | x) is the exact posterior, shifted and widened."""
    precision = np.eye(2) + WEIGHTS.T @ WEIGHTS / SCALE**2
    variance = np.diag(np.linalg.inv(precision)) * posterior_widening**2
    to_mean = WEIGHTS @ np.linalg.inv(precision) / SCALE**2
    tree = {
        "posterior": {
            "mean": {"kernel": to_mean, "bias": np.full(2, posterior_shift)},
            "log_variance": {"kernel": np.zeros((4, 2)), "bias": np.log(variance)},
        },
        "decoder": {"output": {"kernel": WEIGHTS.T, "bias": np.zeros(4)}},
    }
    return {
        part: {
            name: {key: jnp.asarray(value, jnp.float32) for key, value in layer.items()}
            for name, layer in layers.items()
        }
        for part, layers in tree.items()
    }


def batch(count: int) -> Batch:
    return Batch(jnp.asarray(images(count)), None, jnp.arange(count))


def inferred(count: int, **changes: float) -> tuple[Inference, ElboTerms, Moment]:
    """What a penalty is given at step 5, of `count` images and the model of
    `params(**changes)`: one sample of each posterior."""
    given, key = {"model": params(**changes), "objective": {}}, jax.random.key(0)
    found = infer(MODEL, given, {}, batch(count), key, num_samples=1)
    return *found, Moment(jnp.int32(5), key)

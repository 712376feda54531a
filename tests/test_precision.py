"""Products whose rounding would reach results keep all bits of float32: by default a
GPU rounds their factors to 10 bits, and a TPU to 7."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Independent, MultivariateNormal, Normal

from vae import rng
from vae.distributions.categorical import (
    EmbeddedCodes,
    OneHotCodes,
    Quantized,
    nearest,
)
from vae.distributions.gaussians import DiagonalGaussianMixture
from vae.distributions.reparameterization import sample_and_log_prob
from vae.models.codebook import Codebook
from vae.nn import flows
from vae.objectives import moments

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(RANDOM.normal(size=shape), jnp.float32)


def full_gaussian(mean: jax.Array) -> Any:
    keys = rng.per_example(jax.random.key(0), jnp.arange(4))[None]
    tril = jnp.broadcast_to(jnp.eye(3), (4, 3, 3))
    return sample_and_log_prob(MultivariateNormal(mean, scale_tril=tril), keys)


def move_codebook(x: jax.Array) -> Any:
    module, keys = Codebook(7, 3), rng.per_example(jax.random.key(0), jnp.arange(4))
    quantized = Quantized(x[:, None], normal(7, 3))
    variables = module.init(jax.random.key(0))
    return jax.grad(
        lambda v: module.apply(v, quantized, keys, method="ema_loss")  # pyright: ignore
    )(variables)


COMPUTED: dict[str, Callable[[jax.Array], Any]] = {
    "mixture": DiagonalGaussianMixture(
        normal(5), normal(5, 3), abs(normal(5, 3))
    ).log_prob,
    "codes": lambda x: OneHotCodes(x[..., None] + normal(3, 2)).log_prob(normal(4, 6)),
    "nearest": lambda x: nearest(x, normal(7, 3)),
    "quantized": lambda x: Quantized(x[..., None, :], normal(7, 3)).mean,
    "commitment": lambda x: Quantized(x[..., None, :], normal(7, 3)).commitment(),
    "embedded": lambda x: EmbeddedCodes(OneHotCodes(normal(4, 2, 3)), x[:3]).sample(
        jax.random.key(0)
    ),
    "codebook": move_codebook,
    "covariance": lambda x: moments._covariance(Independent(Normal(x, 1), 1), False),
    "dot": lambda x: flows._dot(x, x),
    "full_gaussian": full_gaussian,
}


@pytest.mark.parametrize("name", COMPUTED)
def test_products_of_densities_and_codes_are_not_rounded(name: str) -> None:
    text = jax.jit(COMPUTED[name]).lower(normal(4, 3)).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert products
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)

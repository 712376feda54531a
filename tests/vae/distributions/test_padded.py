"""A distribution in a wider space is that of its own size."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Independent, Normal, kl_divergence

from vae.distributions.gaussians import DiagonalGaussianMixture
from vae.distributions.padded import in_use, restrict

OWN, WIDE = 3, 16


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def gaussians(width: int) -> tuple[Any, Any]:
    loc, log_scale = draw(5, WIDE)[:, :width], draw(5, WIDE)[:, ::-1][:, :width]
    q = Independent(Normal(loc, np.exp(log_scale)), 1)
    return q, Independent(Normal(jnp.zeros(width), jnp.ones(width)), 1)


@pytest.mark.slow
def test_a_restricted_gaussian_is_the_smaller_one() -> None:
    wide_q, wide_p = (restrict(d, jnp.int32(OWN)) for d in gaussians(WIDE))
    loc, scale = wide_q.base_dist.loc[:, :OWN], wide_q.base_dist.scale[:, :OWN]
    q = Independent(Normal(loc, scale), 1)
    p = Independent(Normal(jnp.zeros(OWN), jnp.ones(OWN)), 1)
    z = draw(7, 5, WIDE)
    for wide, own in ((wide_q, q), (wide_p, p)):
        np.testing.assert_allclose(
            wide.log_prob(z), own.log_prob(z[..., :OWN]), rtol=1e-5
        )
    np.testing.assert_allclose(
        kl_divergence(wide_q, wide_p), kl_divergence(q, p), rtol=1e-6
    )
    sample = wide_q.sample(jax.random.key(0), (4,))
    assert sample[..., :OWN].all()
    assert not sample[..., OWN:].any()
    assert not wide_q.variance[:, OWN:].any()
    assert in_use(WIDE, jnp.int32(OWN)).sum() == OWN
    assert in_use(OWN, None).all()


@pytest.mark.slow
def test_a_restricted_mixture_is_the_smaller_one() -> None:
    logits, means, scales = draw(4), draw(4, WIDE), np.exp(draw(4, WIDE))
    wide = restrict(DiagonalGaussianMixture(logits, means, scales), jnp.int32(OWN))
    own = DiagonalGaussianMixture(logits, means[:, :OWN], scales[:, :OWN])
    z = draw(6, WIDE)
    np.testing.assert_allclose(wide.log_prob(z), own.log_prob(z[:, :OWN]), rtol=1e-4)
    assert not wide.sample(jax.random.key(0), (9,))[:, OWN:].any()


def test_what_cannot_be_padded_says_so() -> None:
    with pytest.raises(TypeError, match="cannot be padded"):
        restrict(Normal(0.0, 1.0), jnp.int32(2))

import jax
import numpy as np
import pytest

from tests.helpers import linear_gaussian as exact
from vae.distributions.categorical import Quantized
from vae.objectives.quantization import vq_vae
from vae.types import Unsupported

INFERENCE, TERMS, MOMENT = exact.inferred(16, posterior_shift=0.3)
RANDOM = np.random.default_rng(0)
ENCODINGS = RANDOM.normal(size=(16, 3, 2)).astype(np.float32)
VECTORS = RANDOM.normal(size=(5, 2)).astype(np.float32)


def penalty(encodings: jax.Array | np.ndarray, commitment: float) -> jax.Array:
    (group,) = INFERENCE.groups
    group = group._replace(posterior=Quantized(encodings, VECTORS))
    inference = INFERENCE._replace(groups=(group,))
    value, metrics = vq_vae(inference, TERMS, MOMENT, commitment=commitment)
    assert not metrics
    return value


def test_commitment_weighs_the_distance_to_the_nearest_vectors() -> None:
    distances = ((ENCODINGS[:, :, None] - VECTORS) ** 2).sum(-1)
    expected = distances.min(-1).sum(-1).mean()  # over positions, then examples
    got = [penalty(ENCODINGS, weight) for weight in (0.0, 0.5)]
    np.testing.assert_allclose(got[0], TERMS.rate.mean(), rtol=1e-6)
    np.testing.assert_allclose(got[1] - got[0], 0.5 * expected, rtol=1e-4)


def test_encodings_are_drawn_to_their_vectors() -> None:
    slope = jax.grad(penalty)(ENCODINGS, 0.5)
    distances = ((ENCODINGS[:, :, None] - VECTORS) ** 2).sum(-1)
    chosen = VECTORS[distances.argmin(-1)]
    np.testing.assert_allclose(slope, (ENCODINGS - chosen) / 16, rtol=1e-4, atol=1e-6)


def test_other_posteriors_are_refused() -> None:
    with pytest.raises(Unsupported, match="^needs a quantised posterior"):
        vq_vae(INFERENCE, TERMS, MOMENT)

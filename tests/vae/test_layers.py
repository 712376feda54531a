from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vae.layers import GatedMLP, with_condition


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make_params(module: Any, x: np.ndarray) -> Any:
    """Returns normal numbers in place of all parameters, for biases and zero kernels
    are to be tested too."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    return jax.tree.map(lambda leaf: normal(*leaf.shape), shapes)


def test_gated_layers_are_their_formula() -> None:
    x = normal(3, 4)
    mlp: Any = GatedMLP((5, 2), nn.sigmoid)
    params = make_params(mlp, x)

    def affine(h: np.ndarray, name: str) -> np.ndarray:
        layer = params["params"][name]
        return h @ layer["kernel"] + layer["bias"]

    expected = x
    for i in range(2):
        gate = 1 / (1 + np.exp(-affine(expected, f"gate_{i}")))
        expected = affine(expected, f"dense_{i}") * gate
    np.testing.assert_allclose(mlp.apply(params, x), expected, rtol=1e-5)


def test_a_condition_stands_before_in_the_features_dtype() -> None:
    features, condition = jnp.ones((2, 3), jnp.bfloat16), jnp.eye(2)
    joined = with_condition(features, condition)
    assert joined.dtype == jnp.bfloat16
    np.testing.assert_array_equal(joined, [[1, 0, 1, 1, 1], [0, 1, 1, 1, 1]])
    assert with_condition(features, None) is features

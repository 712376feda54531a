"""Small encoders and decoders, and what holds of both."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

WIDTHS, CHANNELS, LATENT_DIM, IMAGE_SHAPE = (8, 7), (6, 5), 3, (16, 32, 2)
DENSE = {"widths": WIDTHS}
CONV = {**DENSE, "channels": CHANNELS, "activation": nn.relu, "convolution": "lax"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "mlp": {**DENSE, "activation": nn.relu},
    "gated_mlp": DENSE,
    "conv": CONV,
    "conv_locatello": {"convolution": "lax"},
    "resnet": {**CONV, "blocks": 1},
}
NAMES = list(ARGUMENTS)


def make_key() -> jax.Array:
    """Returns a key whose numbers XLA compiles six times faster than the default's."""
    return jax.random.key(0, impl="rbg")


def images() -> np.ndarray:
    return np.ones((2, *IMAGE_SHAPE), np.float32)


def codes() -> np.ndarray:
    return np.ones((2, LATENT_DIM), np.float32)


def condition(labels: int | None) -> np.ndarray | None:
    """Returns two labels [2, labels], or None."""
    return None if labels is None else np.eye(2, labels, dtype=np.float32)


def num_parameters(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def assert_depends_on_the_condition(module: Any, inputs: np.ndarray) -> None:
    """Of two equal inputs with different labels."""
    run = jax.jit(module.init_with_output)
    output, _ = run(make_key(), inputs, condition(2))
    assert np.abs(np.subtract(*np.asarray(output))).max() > 1e-3


def assert_starts_as_plain(resnet: Any, plain: Any, inputs: np.ndarray) -> None:
    """The same convolutions without the residual blocks give the same."""
    output, variables = jax.jit(resnet.init_with_output)(make_key(), inputs)
    params = variables["params"]
    shared = {k: v for k, v in params.items() if not k.startswith("blocks")}
    assert len(params) - len(shared) == len(CHANNELS)
    expected = jax.jit(plain.apply)({"params": shared}, inputs)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


def assert_computes_in_bfloat16(module: Any, inputs: np.ndarray) -> None:
    """Beside parameters in float32."""
    run = module.init_with_output
    output, params = jax.eval_shape(run, make_key(), inputs, condition(2))
    assert output.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.vae.nn.test_layers import make_params, normal
from vae.nn.convolutions import DoublingConv, HalvingConv, ResidualBlock, SameConv

CONVOLUTIONS = {
    "halving_4x4": HalvingConv,
    "halving_2x2": partial(HalvingConv, kernel_size=2),
    "same_3x3": SameConv,
    "doubling_4x4": DoublingConv,
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("layer", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize(("channels", "features"), [(1, 5), (3, 5), (9, 2)])
def test_matrix_form_equals_lax_conv(
    layer: Callable[..., Any], channels: int, features: int
) -> None:
    x = normal(2, 6, 8, channels)  # 3 x 4 blocks
    forms = [layer(features, method) for method in ("matmul", "lax")]
    params = make_params(forms[0], x)

    def outputs(form: Any) -> Any:
        def loss(params: Any, x: jax.Array) -> tuple[jax.Array, Any]:
            y = form.apply(params, x)
            return jnp.sin(y).sum(), y

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, x)

    # Sums of up to 2 * 12 * 16 * 9 products of order one in float32.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        *map(outputs, forms),
    )


@pytest.mark.parametrize("method", ["matmul", "lax"])
def test_doubling_is_the_adjoint_of_halving(method: str) -> None:
    x, y = normal(1, 8, 8, 3), normal(1, 4, 4, 5, seed=1)
    halving: Any = HalvingConv(5, method)
    doubling: Any = DoublingConv(3, method)
    params = {**make_params(halving, x)["params"], "bias": np.zeros(5)}
    # lax's transposed convolution correlates: its kernel is the flipped adjoint.
    kernel = np.swapaxes(params["kernel"][::-1, ::-1], 2, 3)
    adjoint = {"params": {"kernel": kernel, "bias": np.zeros(3)}}
    left = np.vdot(jax.jit(halving.apply)({"params": params}, x), y)
    right = np.vdot(x, jax.jit(doubling.apply)(adjoint, y))
    np.testing.assert_allclose(left, right, rtol=1e-5)


def test_residual_block_starts_as_the_identity_and_leaves_it() -> None:
    x = normal(2, 4, 4, 3)
    block: Any = ResidualBlock(nn.relu, "matmul")
    key = jax.random.key(0, impl="rbg")  # compiles faster than the default
    y, params = jax.jit(block.init_with_output)(key, x)
    np.testing.assert_array_equal(y, x)
    gradient = jax.jit(jax.grad(lambda p: (block.apply(p, x) ** 2).sum()))(params)
    assert np.abs(gradient["params"]["conv_1"]["kernel"]).min() > 0


def test_residual_block_is_its_formula() -> None:
    x = normal(2, 4, 4, 3)
    block: Any = ResidualBlock(nn.elu, "matmul")
    conv: Any = SameConv(3, "lax")
    params = make_params(block, x)["params"]
    hidden = conv.apply({"params": params["conv_0"]}, nn.elu(x))
    expected = x + conv.apply({"params": params["conv_1"]}, nn.elu(hidden))
    actual = block.apply({"params": params}, x)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)

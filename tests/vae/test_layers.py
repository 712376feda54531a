import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vae.decoders import ConvDecoder, MLPDecoder, bias_from_mean
from vae.encoders import ConvEncoder
from vae.layers import DoublingConv, HalvingConv
from vae.likelihoods import Bernoulli

SIZES = [(28, 1, 3), (32, 3, 8), (64, 1, 4)]


@pytest.mark.parametrize("layer", [HalvingConv, DoublingConv])
@pytest.mark.parametrize(("size", "channels", "features"), SIZES)
def test_matrix_form_equals_lax_conv(
    layer: type, size: int, channels: int, features: int
) -> None:
    x = jax.random.normal(jax.random.key(0), (2, size, size, channels))
    forms = [layer(features, method) for method in ("matmul", "lax")]
    params = forms[0].init(jax.random.key(1), x)
    params = jax.tree.map(lambda p: p + 0.1, params)  # biases too

    def outputs(form: nn.Module):
        def loss(params, x):
            return jnp.sin(form.apply(params, x)).sum()

        return form.apply(params, x), jax.grad(loss, (0, 1))(params, x)

    # Sums of up to 2 * 64 * 64 products of order one in float32.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3),
        *map(outputs, forms),
    )


@pytest.mark.parametrize("method", ["matmul", "lax"])
def test_doubling_is_the_adjoint_of_halving(method: str) -> None:
    x, y = (
        jax.random.normal(jax.random.key(i), shape)
        for i, shape in enumerate([(1, 8, 8, 3), (1, 4, 4, 5)])
    )
    halving, doubling = HalvingConv(5, method), DoublingConv(3, method)
    params = halving.init(jax.random.key(2), x)["params"]
    # lax's transposed convolution correlates: its kernel is the flipped adjoint.
    kernel = jnp.swapaxes(params["kernel"][::-1, ::-1], 2, 3)
    adjoint = {"params": {"kernel": kernel, "bias": jnp.zeros(3)}}
    left = jnp.vdot(halving.apply({"params": params}, x), y)
    right = jnp.vdot(x, doubling.apply(adjoint, y))
    np.testing.assert_allclose(left, right, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "channels", "depth"), [(28, 1, 2), (32, 3, 3), (64, 1, 4)]
)
def test_conv_shapes(size: int, channels: int, depth: int) -> None:
    widths, features = (4,) * depth, (size, size, channels)
    encoder = ConvEncoder(widths, (7,), nn.relu, "matmul")
    decoder = ConvDecoder(
        widths, (7,), nn.relu, features, nn.initializers.ones, "matmul"
    )
    key, x, z = jax.random.key(0), jnp.zeros((2, *features)), jnp.zeros((2, 3))
    encoded, _ = jax.eval_shape(encoder.init_with_output, key, x)
    decoded, params = jax.eval_shape(decoder.init_with_output, key, z)
    assert encoded.shape == (2, 7)
    assert decoded.shape == (2, *features)
    assert params["params"]["output"]["bias"].shape == (channels,)


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_decoders_start_at_the_mean(kind: str) -> None:
    mean = np.random.default_rng(0).uniform(0.1, 0.9, (4, 4, 3))
    bias_init = bias_from_mean(mean, Bernoulli.features_of_mean)
    if kind == "mlp":
        decoder: nn.Module = MLPDecoder((8, 5), nn.relu, (4, 4, 3), bias_init)
        expected = mean  # a bias per pixel
    else:
        decoder = ConvDecoder((6,), (5,), nn.relu, (4, 4, 3), bias_init, "matmul")
        expected = np.broadcast_to(mean.mean((0, 1)), (4, 4, 3))  # one per channel
    at_zero, params = decoder.init_with_output(jax.random.key(0), jnp.zeros((1, 2)))
    np.testing.assert_allclose(Bernoulli()(at_zero[0]).mean, expected, rtol=1e-5)
    if kind == "mlp":  # widths are given from the image inwards
        assert params["params"]["mlp"]["dense_0"]["kernel"].shape == (2, 5)
        assert params["params"]["output"]["kernel"].shape == (8, 48)

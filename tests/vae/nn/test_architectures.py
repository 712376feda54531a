from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vae.fields import fields_of
from vae.models.likelihoods import Bernoulli
from vae.nn import decoders, encoders
from vae.nn.decoders import bias_from_mean
from vae.types import Unsupported

WIDTHS, CHANNELS, LATENT_DIM = (8, 7), (6, 5), 3
DENSE = {"widths": WIDTHS}
CONV = {**DENSE, "channels": CHANNELS, "activation": nn.relu, "convolution": "lax"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "mlp": {**DENSE, "activation": nn.relu},
    "gated_mlp": DENSE,
    "conv": CONV,
    "conv_locatello": {"convolution": "lax"},
    "resnet": {**CONV, "blocks": 1},
}
ENCODERS = {
    "mlp": encoders.MLPEncoder,
    "gated_mlp": encoders.gated_mlp,
    "conv": encoders.ConvEncoder,
    "conv_locatello": encoders.conv_locatello,
    "resnet": encoders.ResNetEncoder,
}
DECODERS = {
    "mlp": decoders.MLPDecoder,
    "gated_mlp": decoders.gated_mlp,
    "conv": decoders.ConvDecoder,
    "conv_locatello": decoders.conv_locatello,
    "resnet": decoders.ResNetDecoder,
}
NAMES = list(ARGUMENTS)


def make_key() -> jax.Array:
    """Returns a key whose numbers XLA compiles six times faster than the default's."""
    return jax.random.key(0, impl="rbg")


def make_encoder(name: str, **kwargs: Any) -> Any:
    return ENCODERS[name](**ARGUMENTS[name], **kwargs)


def make_decoder(
    name: str,
    image_shape: tuple[int, int, int] = (16, 32, 2),
    bias_init: nn.initializers.Initializer = nn.initializers.zeros,
    **kwargs: Any,
) -> Any:
    shared = {"image_shape": image_shape, "bias_init": bias_init}
    return DECODERS[name](**ARGUMENTS[name], **shared, **kwargs)


def make_inputs(*, labels: int | None) -> tuple[np.ndarray, np.ndarray, Any]:
    """Returns images, codes and, unless labels is None, a condition [2, labels]."""
    condition = None if labels is None else np.eye(2, labels, dtype=np.float32)
    images, codes = np.ones((2, 16, 32, 2)), np.ones((2, LATENT_DIM))
    return images.astype(np.float32), codes.astype(np.float32), condition


def num_parameters(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("labels", [None, 10])
@pytest.mark.parametrize("name", NAMES)
def test_shapes(name: str, labels: int | None) -> None:
    x, z, condition = make_inputs(labels=labels)
    encoder, decoder = make_encoder(name), make_decoder(name)
    key = make_key()
    features, _ = jax.eval_shape(encoder.init_with_output, key, x, condition)
    decoded, params = jax.eval_shape(decoder.init_with_output, key, z, condition)
    assert features.shape == (2, 256 if name == "conv_locatello" else WIDTHS[-1])
    assert decoded.shape == x.shape
    biases = 16 * 32 * 2 if "mlp" in name else 2
    assert params["params"]["output"]["bias"].shape == (biases,)


FIELDS = {
    "mlp": {"widths", "activation"},
    "gated_mlp": {"widths"},
    "conv": {"widths", "activation", "channels", "convolution"},
    "conv_locatello": {"convolution"},
    "resnet": {"widths", "activation", "channels", "convolution", "blocks"},
}


@pytest.mark.parametrize("menu", [ENCODERS, DECODERS])
@pytest.mark.parametrize("name", NAMES)
def test_fields_are_those_that_are_read(menu: dict[str, Any], name: str) -> None:
    assert fields_of(menu[name]).keys() == FIELDS[name]


@pytest.mark.parametrize("side", [28, 6])
def test_images_that_cannot_be_halved_are_refused(side: int) -> None:
    image, key = np.zeros((1, side, side, 1)), make_key()
    layers = {"channels": (2, 2, 2), "convolution": "lax"}
    reason = (
        f"halves the image 3 times, but {side}x{side} pixels cannot be divided by 8"
    )
    with pytest.raises(Unsupported, match=reason):
        encoders.ConvEncoder(**layers).init(key, image)
    with pytest.raises(Unsupported, match=reason):
        decoders.ResNetDecoder((side, side, 1), **layers).init(key, np.zeros((1, 2)))
    with pytest.raises(Unsupported, match="at least one convolution"):
        encoders.ConvEncoder(()).init(key, image)


def test_decoders_take_widths_from_the_image_inwards() -> None:
    decoder = make_decoder("mlp")
    params = jax.eval_shape(decoder.init, make_key(), np.zeros((1, 2)))
    assert params["params"]["mlp"]["dense_0"]["kernel"].shape == (2, 7)
    assert params["params"]["output"]["kernel"].shape == (8, 16 * 32 * 2)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize("name", ["mlp", "gated_mlp", "conv", "resnet"])
def test_the_condition_changes_the_output(name: str, part: str) -> None:
    x, z, condition = make_inputs(labels=2)
    make, value = (make_encoder, x) if part == "encoder" else (make_decoder, z)
    output, _ = jax.jit(make(name).init_with_output)(make_key(), value, condition)
    # Both inputs are equal, but for the label.
    assert np.abs(np.subtract(*np.asarray(output))).max() > 1e-3


def test_conv_locatello_has_the_parameters_of_disentanglement_lib() -> None:
    # By hand from table 1 of arXiv 1811.12359, which agrees with conv_encoder and
    # deconv_decoder of disentanglement_lib: 304,064 + 5,140 + 381,313.
    key, x = make_key(), np.zeros((1, 64, 64, 1))
    encoder = make_encoder("conv_locatello")
    features, encoder_params = jax.eval_shape(encoder.init_with_output, key, x)
    heads = [jax.eval_shape(nn.Dense(10).init, key, features) for _ in range(2)]
    decoder = make_decoder("conv_locatello", (64, 64, 1))
    decoder_params = jax.eval_shape(decoder.init, key, np.zeros((1, 10)))
    assert num_parameters((encoder_params, heads, decoder_params)) == 690_517


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_resnets_start_as_plain_convolutions(part: str) -> None:
    x, z, _ = make_inputs(labels=None)
    make, value = (make_encoder, x) if part == "encoder" else (make_decoder, z)
    output, variables = jax.jit(make("resnet").init_with_output)(make_key(), value)
    params = variables["params"]
    shared = {k: v for k, v in params.items() if not k.startswith("blocks")}
    assert len(params) - len(shared) == len(CHANNELS)
    plain = jax.jit(make("conv").apply)({"params": shared}, value)
    np.testing.assert_allclose(output, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_computes_beside_float32_parameters(name: str, part: str) -> None:
    x, z, condition = make_inputs(labels=2)
    make, value = (make_encoder, x) if part == "encoder" else (make_decoder, z)
    module = make(name, dtype=jnp.bfloat16)
    output, params = jax.eval_shape(
        module.init_with_output, make_key(), value, condition
    )
    assert output.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_decoders_start_at_the_mean(name: str) -> None:
    mean = np.random.default_rng(0).uniform(0.1, 0.9, (4, 4, 3))
    bias_init = bias_from_mean(mean, Bernoulli.features_of_mean)
    decoder = make_decoder(name, (4, 4, 3), bias_init)
    expected = mean  # a bias per pixel
    if name == "conv":  # one per channel
        expected = np.broadcast_to(mean.mean((0, 1)), (4, 4, 3))
    at_zero, _ = jax.jit(decoder.init_with_output)(make_key(), np.zeros((1, 2)))
    np.testing.assert_allclose(Bernoulli()(at_zero[0]).mean, expected, rtol=1e-5)


def mean_and_minus_one(mean: np.ndarray) -> np.ndarray:
    """Two features per channel: [..., C] to [..., 2 C], interleaved."""
    return np.stack((mean, np.full_like(mean, -1)), -1).reshape(*mean.shape[:-1], -1)


@pytest.mark.parametrize("name", ["gated_mlp", "conv"])
def test_decoders_start_at_the_mean_with_two_features_per_channel(name: str) -> None:
    mean = np.random.default_rng(0).uniform(size=(4, 4, 3))
    bias_init = bias_from_mean(mean, mean_and_minus_one)
    decoder = make_decoder(name, (4, 4, 6), bias_init)
    at_zero, _ = jax.jit(decoder.init_with_output)(make_key(), np.zeros((1, 2)))
    if name == "conv":
        mean = np.broadcast_to(mean.mean((0, 1)), (4, 4, 3))
    features = np.asarray(at_zero[0])
    np.testing.assert_allclose(features[..., 0::2], mean, rtol=1e-5)
    np.testing.assert_allclose(features[..., 1::2], -1, rtol=1e-5)

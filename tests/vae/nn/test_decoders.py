from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.helpers import architectures as small
from vae.models.likelihoods import Bernoulli
from vae.nn.decoders import ResNetDecoder, bias_from_mean
from vae.registry import DECODERS
from vae.types import Unsupported


def make(
    name: str,
    event_shape: tuple[int, int, int] = small.IMAGE_SHAPE,
    bias_init: nn.initializers.Initializer = nn.initializers.zeros,
    **kwargs: Any,
) -> Any:
    shared = {"event_shape": event_shape, "bias_init": bias_init}
    return DECODERS[name](**small.ARGUMENTS[name], **shared, **kwargs)


@pytest.mark.parametrize("labels", [None, 10])
@pytest.mark.parametrize("name", small.NAMES)
def test_shapes(name: str, labels: int | None) -> None:
    run, condition = make(name).init_with_output, small.condition(labels)
    decoded, params = jax.eval_shape(run, small.make_key(), small.codes(), condition)
    assert decoded.shape == small.images().shape
    biases = 16 * 32 * 2 if "mlp" in name else 2
    assert params["params"]["output"]["bias"].shape == (biases,)


@pytest.mark.parametrize("side", [28, 6])
def test_images_that_cannot_be_halved_are_refused(side: int) -> None:
    decoder = ResNetDecoder((side, side, 1), channels=(2, 2, 2), convolution="lax")
    reason = (
        f"halves the image 3 times, but {side}x{side} pixels cannot be divided by 8"
    )
    with pytest.raises(Unsupported, match=reason) as error:
        decoder.init(small.make_key(), np.zeros((1, 2)))
    assert error.value.part == "decoder"


def test_widths_are_taken_from_the_image_inwards() -> None:
    params = jax.eval_shape(make("mlp").init, small.make_key(), np.zeros((1, 2)))
    assert params["params"]["mlp"]["dense_0"]["kernel"].shape == (2, 7)
    assert params["params"]["output"]["kernel"].shape == (8, 16 * 32 * 2)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ["mlp", "gated_mlp", "conv", "resnet"])
def test_the_condition_changes_the_output(name: str) -> None:
    small.assert_depends_on_the_condition(make(name), small.codes())


def test_conv_locatello_has_the_parameters_of_disentanglement_lib() -> None:
    # By hand from table 1 of arXiv 1811.12359, which agrees with deconv_decoder of
    # disentanglement_lib.
    decoder = make("conv_locatello", (64, 64, 1))
    params = jax.eval_shape(decoder.init, small.make_key(), np.zeros((1, 10)))
    assert small.num_parameters(params) == 381_313


def test_resnets_start_as_plain_convolutions() -> None:
    small.assert_starts_as_plain(make("resnet"), make("conv"), small.codes())


@pytest.mark.parametrize("name", small.NAMES)
def test_bfloat16_computes_beside_float32_parameters(name: str) -> None:
    small.assert_computes_in_bfloat16(make(name, dtype=jnp.bfloat16), small.codes())


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_decoders_start_at_the_mean(name: str) -> None:
    mean = np.random.default_rng(0).uniform(0.1, 0.9, (4, 4, 3))
    bias_init = bias_from_mean(mean, Bernoulli.features_of_mean)
    decoder = make(name, (4, 4, 3), bias_init)
    expected = mean  # a bias per pixel
    if name == "conv":  # one per channel
        expected = np.broadcast_to(mean.mean((0, 1)), (4, 4, 3))
    at_zero, _ = jax.jit(decoder.init_with_output)(small.make_key(), np.zeros((1, 2)))
    np.testing.assert_allclose(
        Bernoulli()(at_zero[0], event_dim=3).mean, expected, rtol=1e-5
    )


def mean_and_minus_one(mean: np.ndarray) -> np.ndarray:
    """Two features per channel: [..., C] to [..., 2 C], interleaved."""
    return np.stack((mean, np.full_like(mean, -1)), -1).reshape(*mean.shape[:-1], -1)


@pytest.mark.parametrize("name", ["gated_mlp", "conv"])
def test_decoders_start_at_the_mean_with_two_features_per_channel(name: str) -> None:
    mean = np.random.default_rng(0).uniform(size=(4, 4, 3))
    bias_init = bias_from_mean(mean, mean_and_minus_one)
    decoder = make(name, (4, 4, 6), bias_init)
    at_zero, _ = jax.jit(decoder.init_with_output)(small.make_key(), np.zeros((1, 2)))
    if name == "conv":
        mean = np.broadcast_to(mean.mean((0, 1)), (4, 4, 3))
    features = np.asarray(at_zero[0])
    np.testing.assert_allclose(features[..., 0::2], mean, rtol=1e-5)
    np.testing.assert_allclose(features[..., 1::2], -1, rtol=1e-5)

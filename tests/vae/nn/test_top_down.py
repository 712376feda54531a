from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.architectures import (
    assert_computes_in_bfloat16,
    make_key,
    num_parameters,
)
from vae.nn.top_down import (
    Bottleneck,
    BottomUpEncoder,
    TopDownDecoder,
    check_side,
    pool,
    unpool,
)
from vae.types import Unsupported

WIDTH, MIDDLE, CHANNELS = 8, 2, 3
ENCODER = BottomUpEncoder("4x1,4d2,2d2,1x1", WIDTH, every_resolution=True)
DECODER = TopDownDecoder((4, 4, 5), "1x1,2m1,4m2,4x1", WIDTH)


def images() -> jax.Array:
    return jax.random.normal(make_key(), (3, 4, 4, 2))


def codes(count: int = 2) -> jax.Array:
    return jax.random.normal(make_key(), (count, CHANNELS * (16 + 16 + 4 + 1)))


def of_bottleneck(fan_in: int, fan_out: int, taps: int) -> int:
    """Weights and biases of four convolutions."""
    inner = 2 * (taps * MIDDLE + 1) * MIDDLE
    return (fan_in + 1) * MIDDLE + inner + (MIDDLE + 1) * fan_out


def test_pooling_undoes_unpooling() -> None:
    x = images()
    np.testing.assert_allclose(pool(unpool(x, 3), 3), x, rtol=1e-6)
    expected = np.asarray(x).repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(unpool(x, 2), expected)


def test_small_images_have_1x1_convolutions() -> None:
    """A pixel of 2x2 sees itself only; one of 3x3 sees all others."""
    block = Bottleneck(MIDDLE, WIDTH)
    for side, taps, sees_others in ((2, 1, False), (3, 9, True)):
        x = jnp.zeros((1, side, side, 4))
        params = jax.jit(block.init)(make_key(), x)
        assert num_parameters(params) == of_bottleneck(4, WIDTH, taps)
        y = block.apply(params, x.at[0, 0, 0].set(1.0))
        changed = np.abs(np.asarray(y)).max(-1)[0, -1, -1] > 0
        assert changed == sees_others


def test_an_encoder_gives_the_last_activations_of_each_resolution() -> None:
    """With residual blocks at zero: the first convolution, and its averages."""
    run = jax.jit(ENCODER.init_with_output)
    activations, variables = run(make_key(), images())
    assert {r: a.shape for r, a in activations.items()} == {
        r: (3, r, r, WIDTH) for r in ENCODER.resolutions
    }
    assert ENCODER.resolutions == {4, 2, 1} and ENCODER.middle == MIDDLE
    of_blocks = {
        name: jax.tree.map(jnp.zeros_like, part)
        for name, part in variables["params"].items()
        if name != "input"
    }
    params = {**variables["params"], **of_blocks}
    plain: Any = ENCODER.apply({"params": params}, images())
    np.testing.assert_allclose(plain[2], pool(plain[4], 2), rtol=1e-5)
    np.testing.assert_allclose(plain[1], pool(plain[4], 4), rtol=1e-4, atol=1e-6)
    # The block 4d2 gives the first activations at 2x2, and none at 4x4.
    params = {**variables["params"], "block_1": of_blocks["block_1"]}
    without: Any = ENCODER.apply({"params": params}, images())
    np.testing.assert_array_equal(without[4], activations[4])
    assert (without[2] != activations[2]).any()
    flat = BottomUpEncoder(ENCODER.layers, WIDTH).apply(variables, images())
    np.testing.assert_array_equal(flat, activations[1].reshape(3, -1))


def test_an_encoder_has_the_parameters_of_its_layers() -> None:
    params = jax.eval_shape(ENCODER.init, make_key(), images())
    own = {r: of_bottleneck(WIDTH, WIDTH, 9 if r > 2 else 1) for r in (4, 2, 1)}
    expected = (9 * 2 + 1) * WIDTH + 2 * own[4] + own[2] + own[1]
    assert num_parameters(params) == expected


def test_a_decoder_has_the_parameters_of_its_layers() -> None:
    params = jax.eval_shape(DECODER.init, make_key(), codes())
    expected = (1 + 4 + 16) * WIDTH + 2 * WIDTH + (WIDTH + 1) * 5
    for i, r in enumerate(DECODER.resolutions):
        taps, made = 9 if r > 2 else 1, 2 * CHANNELS * (i > 0)
        expected += of_bottleneck(WIDTH, WIDTH + made, taps)
        expected += (CHANNELS + 1) * WIDTH + of_bottleneck(WIDTH, WIDTH, taps)
    assert num_parameters(params) == expected


def test_a_decoder_sees_the_codes_of_every_group() -> None:
    z = codes()
    features, params = jax.jit(DECODER.init_with_output)(make_key(), z)
    assert features.shape == (2, 4, 4, 5)
    square = jax.jit(jax.grad(lambda z: jnp.square(DECODER.apply(params, z)).sum()))
    slope = square(z)
    assert (slope != 0).all()
    of_groups = DECODER.split(z)
    assert [c.shape for c in of_groups] == [(2, r, r, CHANNELS) for r in (1, 2, 4, 4)]
    flat = jnp.concatenate([c.reshape(2, -1) for c in of_groups[::-1]], -1)
    np.testing.assert_array_equal(flat, z)


def test_last_kernels_of_a_deep_network_start_small() -> None:
    """Their variance is that of the others over the number of blocks; priors start at
    zero."""
    layers = "1x25"
    decoder = TopDownDecoder((1, 1, 5), layers, 400)
    params = decoder.init(make_key(), jnp.ones((1, 16 * 25)))["params"]
    block = params["block_0"]
    last = block["residual"]["conv_3"]["kernel"]
    assert last.var() == pytest.approx(1 / (3 * 100 * 25), rel=0.1)
    first = block["residual"]["conv_0"]["kernel"]
    assert first.var() == pytest.approx(1 / (3 * 400), rel=0.1)
    assert block["project"]["kernel"].var() == pytest.approx(1 / (48 * 25), rel=0.1)
    assert not params["block_1"]["prior"]["conv_3"]["kernel"].any()


def test_both_compute_in_bfloat16() -> None:
    half = {"dtype": jnp.bfloat16}
    encoder = BottomUpEncoder(ENCODER.layers, WIDTH, **half)
    assert_computes_in_bfloat16(encoder, np.asarray(images()[:2]))
    decoder = DECODER.clone(**half)
    output, params = jax.eval_shape(decoder.init_with_output, make_key(), codes())
    assert output.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(Unsupported, match="of 4x4 pixels, and the data are images of"):
        ENCODER.init(make_key(), jnp.ones((1, 8, 4, 1)))
    with pytest.raises(Unsupported, match=r"and the data are vectors \[16\]"):
        check_side(4, (16,), part="encoder")
    with pytest.raises(Unsupported, match="takes codes at 37 positions") as error:
        DECODER.init(make_key(), jnp.ones((1, 20)))
    assert error.value.part == "decoder"

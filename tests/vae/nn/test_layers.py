from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from experiments.program import make_program
from tests.helpers.training import advance
from vae.build import build
from vae.nn.layers import (
    EMA,
    EMA_DECAY,
    EPSILON,
    MLP,
    BatchNorm,
    GatedMLP,
    with_condition,
    without_averages,
)
from vae.types import Unsupported, UserError


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


def test_batch_normalisation_is_its_formula() -> None:
    """In training by the minibatch, [K, B] samples alike; else by the averages, which
    the gradient of the loss moves."""
    x = normal(3, 5, 2)
    layer = BatchNorm()
    params = make_params(layer, x)["params"]
    params = {**params, "average_variance": np.array([0.5, 2.0], np.float32)}

    def loss(params: Any) -> tuple[jax.Array, Any]:
        y, moved = layer.apply({"params": params}, x, mutable=[EMA])
        (value,) = jax.tree.leaves(moved)
        return value, y

    mean, variance = x.mean((0, 1)), x.var((0, 1))
    gradient, y = jax.grad(loss, has_aux=True)(params)
    expected = (x - mean) / np.sqrt(variance + EPSILON)
    expected = expected * params["scale"] + params["bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)

    stepped = jax.tree.map(lambda p, g: p - (1 - EMA_DECAY) * g, params, gradient)
    for name, now in (("average_mean", mean), ("average_variance", variance)):
        moved = EMA_DECAY * params[name] + (1 - EMA_DECAY) * now
        np.testing.assert_allclose(stepped[name], moved, rtol=1e-5)
    for name in ("scale", "bias"):
        np.testing.assert_array_equal(stepped[name], params[name])

    by_average = (x - params["average_mean"]) / np.sqrt(
        params["average_variance"] + EPSILON
    )
    by_average = by_average * params["scale"] + params["bias"]
    y = layer.apply({"params": params}, x)
    np.testing.assert_allclose(y, by_average, rtol=1e-4, atol=1e-5)


def test_gradients_of_averages_are_left_out() -> None:
    tree = {"norm": {"average_mean": jnp.ones(2), "scale": jnp.ones(2)}}
    left = without_averages(tree)
    assert left["norm"]["average_mean"].tolist() == [0, 0]
    assert left["norm"]["scale"].tolist() == [1, 1]


def test_layers_are_normalised_before_the_activation() -> None:
    x = normal(50, 4)
    mlp: Any = MLP((3,), lambda x: x, normalization=BatchNorm)
    params = mlp.init(jax.random.key(0), x)["params"]
    y, _ = mlp.apply({"params": params}, x, mutable=[EMA])
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)  # scale 1 and bias 0
    np.testing.assert_allclose(y.std(0), 1, rtol=1e-3)
    gated: Any = GatedMLP((3,), jnp.ones_like, normalization=BatchNorm)
    params = {**gated.init(jax.random.key(0), x)["params"], **params}
    assert params.keys() == {"gate_0", "gate_0_norm", "dense_0", "dense_0_norm"}
    z, _ = gated.apply({"params": params}, x, mutable=[EMA])
    np.testing.assert_allclose(z, y, atol=1e-5)


def test_two_batches_of_one_step_are_not_normalised() -> None:
    layer, x = BatchNorm(), normal(4, 2)
    twice = nn.Sequential([layer, layer])
    with pytest.raises(Unsupported, match="twice in one step"):
        twice.apply(twice.init(jax.random.key(0), x), x, mutable=[EMA])


def test_pseudo_inputs_are_not_normalised(small_config) -> None:
    small_config.model.prior.name = "vamp"
    small_config.model.encoder.normalization = "batch"
    with pytest.raises(UserError, match=r"encoder.name=mlp normalises over the mini"):
        build(small_config)


def smooth_photos(count: int, side: int) -> np.ndarray:
    """Colour pictures [N, side, side, 3] that are smooth, as bytes."""
    random = np.random.default_rng(0)
    x = np.linspace(0, 4, side)
    bumps = np.maximum(1 - np.abs(x[:, None] - np.arange(5)), 0)  # [side, 5]
    corners = random.uniform(0, 255, (count, 5, 5, 3))
    return np.einsum("ai,bj,nijc->nabc", bumps, bumps, corners).astype(np.uint8)


@pytest.mark.slow
def test_photos_of_96_pixels_train(small_config, tmp_path) -> None:
    """Within ten steps the loss was two hundred times what it began with."""
    x = smooth_photos(50, 96)
    np.savez(tmp_path / "photos.npz", x_train=x[:40], x_test=x[40:])
    small_config.dataset.name = f"npz:{tmp_path}/photos.npz"
    small_config.model.likelihood.name = "gaussian_shared"
    widths = {"widths": (64,)}
    small_config.model.encoder.update(widths)
    small_config.model.decoder.update(widths)
    experiment = build(small_config)
    program = make_program(experiment)
    carry, losses = program.initialize(experiment), []
    for _ in range(2):
        carry = advance(experiment, program, carry, program.data, 10)
        losses.append(float(carry[1].sums["loss"]))
    first, both = losses
    assert both - first < first < 10 * 96 * 96 * 3  # nats: about one for each value


def test_a_condition_stands_before_in_the_features_dtype() -> None:
    features, condition = jnp.ones((2, 3), jnp.bfloat16), jnp.eye(2)
    joined = with_condition(features, condition)
    assert joined.dtype == jnp.bfloat16
    np.testing.assert_array_equal(joined, [[1, 0, 1, 1, 1], [0, 1, 1, 1, 1]])
    assert with_condition(features, None) is features


def initial_params(config: Any) -> Any:
    experiment = build(config)
    state, _ = make_program(experiment).initialize(experiment)
    return state.params["model"]


def before_and_after(config: Any) -> tuple[Any, Any]:
    """Returns the first parameters by the default initializer and by PyTorch's."""
    before = initial_params(config)
    config.model.initializer = "fan_in_uniform"
    return before, initial_params(config)


def changed_leaves(before: Any, after: Any) -> set[str]:
    is_equal = jax.tree.map(lambda a, b: bool((a == b).all()), before, after)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, same in jax.tree_util.tree_leaves_with_path(is_equal)
        if not same
    }


@pytest.mark.slow
def test_an_initializer_leaves_residual_blocks_the_identity(small_config) -> None:
    small_config.model.encoder.name = "resnet"
    small_config.model.encoder.channels = (4,)
    changed = changed_leaves(*before_and_after(small_config))
    assert "encoder/blocks_0/block_0/conv_0/kernel" in changed
    assert "encoder/blocks_0/block_0/conv_1/kernel" not in changed


@pytest.mark.slow
def test_an_initializer_draws_the_kernels_of_the_model_anew(small_config) -> None:
    small_config.model.encoder.widths = small_config.model.decoder.widths = (50,)
    small_config.model.posterior.name = "iaf"
    small_config.model.prior.name = "realnvp"
    before, after = before_and_after(small_config)
    kernel = after["encoder"]["mlp"]["dense_0"]["kernel"]  # 784 x 50, uniform
    limit = 1 / np.sqrt(784)
    assert abs(kernel).max() <= limit
    # The mean of |u| is half the limit, with this standard error.
    error = limit / np.sqrt(12 * kernel.size)
    assert abs(abs(kernel).mean() - limit / 2) < 4 * error
    assert changed_leaves(before, after) == {
        "encoder/mlp/dense_0/kernel",
        "posterior/base/mean/kernel",
        "posterior/base/log_variance/kernel",
        "decoder/mlp/dense_0/kernel",
        "decoder/output/kernel",
    }

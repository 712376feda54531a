"""Bricks of encoders and decoders: dense layers, and what all layers share."""

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae.fields import Field
from vae.types import Params, Unsupported

Initializer = nn.initializers.Initializer
ACTIVATIONS = {
    "tanh": nn.tanh,
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "leaky_relu_0.1": functools.partial(nn.leaky_relu, negative_slope=0.1),
    "elu": nn.elu,
    "gelu": nn.gelu,
    "silu": nn.silu,
}
INITIALIZERS: dict[str, Initializer | None] = {
    "glorot_uniform": None,  # what all layers have by themselves
    "fan_in_uniform": nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
    "normal": nn.initializers.normal(0.1),
}
Activation = Annotated[Callable[[jax.Array], jax.Array], Field(menu=ACTIVATIONS)]
EPSILON = 1e-5  # is added to a variance
EMA_DECAY = 0.99  # of moving averages, as in VQ-VAE (arXiv 1711.00937, app. A.1)
EMA = "ema"  # the collection of what `BatchNorm` adds to the loss in training
KERNEL_INIT = nn.initializers.glorot_uniform()

# What encoder and decoder of Locatello et al. 2019 (arXiv 1811.12359, table 1) share.
LOCATELLO: dict[str, Any] = {
    "channels": (32, 32, 64, 64),
    "widths": (256,),
    "activation": nn.relu,
}


def dense(width: int, name: str | None, dtype: Any, **kwargs: Any) -> nn.Dense:
    """A dense layer, Glorot-initialised unless `kwargs` say otherwise; parameters stay
    at least float32."""
    fields = {"kernel_init": KERNEL_INIT, "param_dtype": density_dtype(dtype)} | kwargs
    return nn.Dense(width, name=name, dtype=dtype, **fields)


def density_dtype(dtype: Any) -> Any:
    """Returns the type of parameters and densities beside layers of `dtype`: at least
    float32, for they are never held or computed in half precision."""
    return jnp.promote_types(dtype, jnp.float32)


def at_least_float32(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Raises bfloat16 to float32; see `density_dtype`."""
    return tuple(a.astype(density_dtype(a.dtype)) for a in arrays)


def ema(average: jax.Array, target: jax.Array) -> jax.Array:
    """Returns a scalar zero whose gradient moves a moving average towards `target`.

    The gradient by `average` is average - target, and none flows into `target`; so one
    step of gradient descent with rate 1 - decay is one step of an exponential moving
    average. Parameters trained so are called `average_...`, and the optimizer takes
    exactly such steps on them: pure, and equal on one device and many.
    """
    value = ((average - jax.lax.stop_gradient(target)) ** 2).sum() / 2
    return value - jax.lax.stop_gradient(value)


def is_average(path: tuple[Any, ...]) -> bool:
    """Whether the parameter at a path of `jax.tree_util` is a moving average."""
    return str(path[-1].key).startswith("average_")


def without_averages(tree: Params) -> Params:
    """Returns parameters or their gradients, with zeros in place of moving averages,
    whose gradients are not those of the loss (see `ema`)."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.zeros_like(leaf) if is_average(path) else leaf, tree
    )


class BatchNorm(nn.Module):
    """Normalises each feature over the minibatch, then scales and shifts it.

    In training, where the collection `EMA` is mutable, mean and variance are those of
    the minibatch: of the whole one, if devices share it, and of all samples. Everywhere
    else they are moving averages, so that no example depends on the others. The loss
    moves these averages: what `EMA` then holds is added to it (see `ema`).

    References:
      Ioffe & Szegedy 2015, arXiv 1502.03167, algorithms 1 and 2 (here with the biased
      variance, as in Flax).

    Raises:
      Unsupported: one step calls it twice, with different batches.
    """

    axis_name: str | None = None  # of a `pmap`, whose devices share the minibatch
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., F] to [..., F]."""

        def of_features(name: str, init: Initializer) -> jax.Array:
            return self.param(name, init, x.shape[-1:], density_dtype(self.dtype))

        zeros, ones = nn.initializers.zeros, nn.initializers.ones
        mean = of_features("average_mean", zeros)
        variance = of_features("average_variance", ones)
        scale, bias = of_features("scale", ones), of_features("bias", zeros)
        if self.is_mutable_collection(EMA) and not self.is_initializing():
            averages = mean, variance
            mean, variance = self._moments(x.astype(mean.dtype))
            self._move(averages, (mean, variance))
        normalized = (x - mean) * (scale * jax.lax.rsqrt(variance + EPSILON)) + bias
        return normalized.astype(self.dtype)

    def _moments(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        axes = tuple(range(x.ndim - 1))
        mean = x.mean(axes)
        if self.axis_name is not None:
            mean = jax.lax.pmean(mean, self.axis_name)
        variance = ((x - mean) ** 2).mean(axes)
        if self.axis_name is not None:
            variance = jax.lax.pmean(variance, self.axis_name)
        return mean, variance

    def _move(self, averages: Sequence[jax.Array], now: Sequence[jax.Array]) -> None:
        if self.has_variable(EMA, "loss"):
            raise Unsupported(
                "normalises over the minibatch, and the model calls it twice in one "
                "step",
                str(self.path[0]),
            )
        self.variable(EMA, "loss", lambda: sum(map(ema, averages, now)))


NORMALIZATIONS = {"none": None, "batch": BatchNorm}
Normalization = Annotated[type[BatchNorm] | None, Field(menu=NORMALIZATIONS)]


def with_condition(features: jax.Array, condition: jax.Array | None) -> jax.Array:
    """Returns the condition [N, G], if there is one, and after it features [N, F]."""
    if condition is None:
        return features
    return jnp.concatenate((condition.astype(features.dtype), features), axis=-1)


def check_halvings(times: int, shape: Sequence[int], *, part: str) -> None:
    """Refuses examples of a shape that the encoder or decoder, `part`, cannot halve so
    often.

    Raises:
      Unsupported: they are no images, a side is not divisible, or there is nothing to
        halve them.
    """
    if len(shape) != 3:
        raise Unsupported(f"needs images, and the data are vectors {[*shape]}", part)
    height, width, _ = shape
    factor = 2**times
    if not times:
        raise Unsupported("needs the channels of at least one convolution", part)
    if height % factor or width % factor:
        raise Unsupported(
            f"halves the image {times} times, but {height}x{width} pixels cannot be "
            f"divided by {factor}",
            part,
        )


def redraw_kernels(params: Params, init: Initializer, key: jax.Array) -> Params:
    """Returns a model's parameters with its kernels drawn anew by `init`.

    Those of the prior and of flows are kept, and those at zero: they make a residual
    block begin as the identity.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    keys = jax.random.split(key, len(leaves))
    drawn = []
    for own_key, (path, leaf) in zip(keys, leaves, strict=True):
        part, *within, name = (entry.key for entry in path)
        if name == "kernel" and part != "prior" and "flow" not in within:
            anew = init(own_key, leaf.shape, leaf.dtype)
            drawn.append(jnp.where((leaf == 0).all(), leaf, anew))
        else:
            drawn.append(leaf)
    return jax.tree.unflatten(tree, drawn)


class MLP(nn.Module):
    """Dense layers, each normalised if asked for, then followed by the activation."""

    widths: Sequence[int]
    activation: Activation
    dtype: Any = jnp.float32
    normalization: Normalization = None
    axis_name: str | None = None  # see `BatchNorm`

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., F] to [..., widths[-1]]."""
        for i in range(len(self.widths)):
            x = self.activation(self._linear(x, f"dense_{i}", i))
        return x

    def _linear(self, x: jax.Array, name: str, layer: int) -> jax.Array:
        x = dense(self.widths[layer], name, self.dtype)(x)
        if self.normalization is None:
            return x
        return self.normalization(self.axis_name, self.dtype, name=f"{name}_norm")(x)


class GatedMLP(MLP):
    """Dense layers h = (W x + b) * activation(V x + c): the activation is the gate's.

    References:
      Dauphin et al. 2017, arXiv 1612.08083, eq. 1, and Tomczak & Welling 2018,
      arXiv 1705.07120, section 4, both with a sigmoid gate.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., F] to [..., widths[-1]]."""
        for i in range(len(self.widths)):
            gate = self.activation(self._linear(x, f"gate_{i}", i))
            x = self._linear(x, f"dense_{i}", i) * gate
        return x

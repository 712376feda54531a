"""Times ways to compute the convolutions of Locatello's model, forward and gradients.

Each is timed within a compiled loop, as in training. `chosen` is what the product uses
on CPU; the others say why.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import Contestant, measure
from vae.nn.convolutions import double, halve, shifted_sum, side_by_side

BATCH = 64
ROUNDS, SECONDS = 3, 0.5
Convolution = Callable[[jax.Array, jax.Array], jax.Array]

# (pixels, channels) of input and output; kernels of 4x4 see beyond their stride of 2.
HALVING = (((64, 1), (32, 32)), ((32, 32), (16, 32)))
DOUBLING = (
    *(((4, 64), (8, 64)), ((8, 64), (16, 32))),
    *(((16, 32), (32, 32)), ((32, 32), (64, 1))),
)


def measure_layers() -> list[dict[str, Any]]:
    """Returns the milliseconds of each way, in each round, for each layer."""
    results = []
    for layers, ways in ((HALVING, halving_ways()), (DOUBLING, doubling_ways())):
        for before, after in layers:
            timed = [
                _contestant(name, way, before, after, dtype)
                for name, way, dtype in ways
            ]
            rates = measure(timed, rounds=ROUNDS, seconds=SECONDS)
            name = " to ".join(f"{side}x{side}x{c}" for side, c in (before, after))
            times = [[1e3 / rate for rate in one] for one in rates]
            names = (entry.name for entry in timed)
            results.append({"layer": name, "ms": dict(zip(names, times, strict=True))})
    return results


def halving_ways() -> list[tuple[str, Convolution, Any]]:
    def lax(x: jax.Array, kernel: jax.Array) -> jax.Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, (2, 2), "SAME", dimension_numbers=numbers
        )

    def patches(x: jax.Array, kernel: jax.Array) -> jax.Array:
        side = x.shape[1] // 2
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        starts = [(i, j) for i in range(4) for j in range(4)]
        seen = [x[:, i : i + 2 * side : 2, j : j + 2 * side : 2] for i, j in starts]
        matrix = jnp.concatenate(seen, -1).reshape(-1, 16 * x.shape[-1])
        product = matrix @ kernel.reshape(-1, kernel.shape[-1])
        return product.reshape(len(x), side, side, -1)

    return [
        ("lax", lax, jnp.float32),
        ("16 patches", patches, jnp.float32),
        *_block_ways(halve),
    ]


def doubling_ways() -> list[tuple[str, Convolution, Any]]:
    def lax(x: jax.Array, kernel: jax.Array) -> jax.Array:
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_transpose(
            x, kernel, (2, 2), "SAME", dimension_numbers=numbers
        )

    return [("lax", lax, jnp.float32), *_block_ways(double)]


def _block_ways(
    convolve: Callable[..., jax.Array],
) -> Iterator[tuple[str, Convolution, Any]]:
    ways = (("side by side", side_by_side), ("shifted sum", shifted_sum))
    for name, apply_taps in (*ways, ("chosen", None)):
        yield name, partial(convolve, apply_taps=apply_taps), jnp.float32
    yield "chosen, bfloat16", partial(convolve, apply_taps=None), jnp.bfloat16


def _contestant(
    name: str,
    convolve: Convolution,
    before: tuple[int, int],
    after: tuple[int, int],
    dtype: Any,
) -> Contestant:
    """Returns a layer's forward pass and both its gradients."""
    (side, channels), (_, features) = before, after
    random = np.random.default_rng(0)
    x = random.normal(size=(BATCH, side, side, channels))
    kernel = random.normal(size=(4, 4, channels, features)) / 16

    @jax.jit
    def loop(arguments: tuple[jax.Array, jax.Array], turns: int) -> Any:
        def turn(_: Any, arguments: tuple[jax.Array, jax.Array]) -> Any:
            y, pull_back = jax.vjp(convolve, *arguments)
            # Each turn depends on the one before, or the compiler would take it out.
            return jax.tree.map(lambda a, g: a - 1e-3 * g, arguments, pull_back(y))

        return jax.lax.fori_loop(0, turns, turn, arguments)

    arguments = jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)
    return Contestant(name, lambda n: jax.block_until_ready(loop(arguments, n)))

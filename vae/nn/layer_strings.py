"""Layers at several resolutions, in the notation of VDVAE's hyperparameters.

References:
  Child 2020, arXiv 2011.10650, and its code.
"""

import re
from typing import NamedTuple

from vae.types import Unsupported


class Layer(NamedTuple):
    """A block at resolution R, written `R`, `RdN` (encoder) or `RmN` (decoder)."""

    resolution: int
    other: int | None = None  # N: rate of pooling, or resolution of the block before


def parse_layers(text: str, letter: str, part: str) -> tuple[Layer, ...]:
    """Reads layers in the notation of VDVAE.

    Args:
      text: as "32x11,32d2": eleven blocks at 32x32, then one that divides by 2. Of a
        decoder, "32m16" is a block at 32x32 that adds the result of the block before,
        at 16x16.
      letter: "d" of an encoder, "m" of a decoder.
      part: "encoder" or "decoder".

    Raises:
      Unsupported: it cannot be read.
    """
    layers = []
    for item in text.split(","):
        found = re.fullmatch(rf"([1-9]\d*)(?:([x{letter}])([1-9]\d*))?", item.strip())
        if found is None:
            raise Unsupported(
                f"cannot read {item.strip()!r} in layers={text}: write 8x2 for two "
                f"blocks at 8x8, or {'8d2' if letter == 'd' else '8m4'} for one that "
                + ("divides it by 2" if letter == "d" else "adds what is at 4x4"),
                part,
            )
        resolution, kind, number = found.groups()
        if kind == letter:
            layers.append(Layer(int(resolution), int(number)))
        else:
            layers += [Layer(int(resolution))] * int(number or 1)
    return tuple(layers)


def parse_rise(text: str) -> tuple[Layer, ...]:
    """Reads the layers of an encoder; see `parse_layers`.

    Raises:
      Unsupported: as there, or a block is not at the resolution that is reached.
    """
    layers = parse_layers(text, "d", "encoder")
    reached = layers[0].resolution
    for resolution, rate in layers:
        if resolution != reached or resolution % (rate or 1):
            raise Unsupported(
                f"has a block at {resolution}x{resolution}"
                + (f" to be divided by {rate}" if rate else "")
                + f" in layers={text}, where the image is {reached}x{reached}",
                "encoder",
            )
        reached //= rate or 1
    return layers


def parse_fall(text: str) -> tuple[Layer, ...]:
    """Reads the layers of a decoder; see `parse_layers`.

    Raises:
      Unsupported: as there; the first block is not at 1x1; or another does not take
        the one before it, whose codes would then not reach the image.
    """
    layers = parse_layers(text, "m", "decoder")
    if layers[0] != Layer(1):
        raise Unsupported(f"begins with a block at 1x1, but layers={text}", "decoder")
    reached = 1
    for resolution, source in layers:
        grows = resolution > reached and resolution % reached == 0
        if (resolution, source) == (reached, None) or (grows and source == reached):
            reached = resolution
            continue
        hint = f"{resolution}m{reached}" if grows else f"{reached}x1"
        raise Unsupported(
            f"has a block at {resolution}x{resolution}"
            + (f" that adds {source}x{source}" if source else "")
            + f" in layers={text}, after one at {reached}x{reached}: write {hint}",
            "decoder",
        )
    return layers

"""Pictures of a run, as PNG and GIF."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from vae.data.preprocess import pixels_to_check
from vae.data.splits import Dataset
from vae.latents.traverse import QUANTILES, traverse

COLUMNS, ROWS = 16, 8
GAP = 2  # pixels between images
TRAVERSED = 10  # dimensions at most, those of the largest KL
FRAME_MILLISECONDS = 120
MOST_WIDTH, MOST_HEIGHT = 8_000, 4_000  # pixels: above, images shrink, or are no larger
GREY = 128  # of gaps


class Display(NamedTuple):
    """Which pixel is shown black and which white, for all pictures of a run."""

    low: float = 0.0
    high: float = 1.0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Maps pixels from [low, high] to [0, 1]; pixels outside stay outside."""
        if (self.low, self.high) == (0, 1):
            return images
        return (images - self.low) / (self.high - self.low)

    def tiles(self, images: np.ndarray) -> np.ndarray:
        """Returns images [N, H, W, C] as bytes [N, H, W', 3 or 1]. Unless C is 1 or 3,
        the channels stand side by side, and W' is C times W."""
        if images.shape[-1] not in (1, 3):
            images = np.moveaxis(images, -1, 2)
            images = images.reshape(*images.shape[:2], -1, 1)
        tiles = np.empty(images.shape, np.uint8)
        for tile, image in zip(tiles, images, strict=True):  # one at a time in float64
            shown = np.nan_to_num(self(np.asarray(image, np.float64)), nan=0.5)
            tile[:] = (np.clip(shown, 0, 1) * 255).round()
        return tiles

    def describe(self, channels: int) -> str:
        """Says what cannot be seen of pictures of images with so many channels."""
        text = ""
        if (self.low, self.high) != (0, 1):
            text += f"Pixels are shown from {self.low:.4g} (black) to {self.high:.4g} "
            text += "(white), the range of the data. "
        if channels not in (1, 3):
            text += f"The {channels} channels of an image are shown side by side. "
        return text.strip()


def display_of(dataset: Dataset) -> Display:
    """Returns how a data set is shown: bytes and pixels within [0, 1] as they are,
    others from the least to the largest pixel of the training and test images."""
    parts = [pixels_to_check(split) for split in (dataset.train, dataset.test)]
    parts = [np.asarray(images) for images in parts if len(images)]
    if not parts or parts[0].dtype == np.uint8:
        return Display()
    low = float(min(images.min() for images in parts))
    high = float(max(images.max() for images in parts))
    if low >= 0 and high <= 1:
        return Display()
    return Display(low, high if high > low else low + 1)


def save_grid(
    path: Path, images: np.ndarray, display: Display, columns: int = COLUMNS
) -> None:
    """Writes a grid of images [N, H, W, C]; see `make_grid`."""
    make_grid(images, display, columns).save(path)


def make_grid(
    images: np.ndarray, display: Display, columns: int = COLUMNS
) -> Image.Image:
    """Sets images [N, H, W, C] in reading order, in a size that can be looked at. A
    place that is left over is grey, as is an image of nan."""
    tiles = display.tiles(images)
    tiles = _shrunk(tiles, -(-columns * tiles.shape[2] // MOST_WIDTH))
    count, height, width, channels = tiles.shape
    rows = -(-count // columns)
    tile = (height + GAP, width + GAP)
    shape = (rows * tile[0] + GAP, columns * tile[1] + GAP, channels)
    grid = np.full(shape, GREY, np.uint8)
    for i, image in enumerate(tiles):
        top, left = (n * t + GAP for n, t in zip(divmod(i, columns), tile, strict=True))
        grid[top : top + height, left : left + width] = image
    picture = Image.fromarray(grid[..., 0] if channels == 1 else grid)
    scale = min(round(1000 / picture.width), MOST_HEIGHT // picture.height)
    size = (picture.width * max(1, scale), picture.height * max(1, scale))
    return picture.resize(size, Image.Resampling.NEAREST)


def _shrunk(tiles: np.ndarray, factor: int) -> np.ndarray:
    """Returns tiles [N, H, W, C] made smaller: each pixel is the mean of a block."""
    if factor <= 1:
        return tiles
    _, height, width, _ = tiles.shape
    padding = [(0, 0), (0, -height % factor), (0, -width % factor), (0, 0)]
    padded = np.pad(tiles, padding, mode="edge")
    down, across = (side // factor for side in padded.shape[1:3])
    blocks = padded.reshape(len(tiles), down, factor, across, factor, -1)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)


def draw_traversals(
    decode: Callable[[np.ndarray], Any],
    x: np.ndarray,
    means: np.ndarray,
    dimensions: np.ndarray,
    display: Display,
    folder: Path,
) -> None:
    """Writes what one dimension changes: `traversals_prior.png`, from the prior's mean,
    and `traversals_posterior.png`, from the posterior mean of the first image (on the
    left). A row is a dimension; a column is a quantile of the prior. In
    `traversals.gif` a column is a dimension, a row an image, and time the quantile.

    Args:
      decode: codes [N, D] -> mean images [N, H, W, C].
      x: images [N, H, W, C].
      means: their posterior means [N, D].
      dimensions: to be traversed, in order.
      display: of the images.
      folder: of the pictures.
    """
    for name, base in (("prior", np.zeros_like(means[0])), ("posterior", means[0])):
        codes = traverse(base, dimensions).reshape(-1, len(base))
        images = np.asarray(decode(codes), np.float32)
        columns = len(QUANTILES)
        if name == "posterior":
            rows = images.reshape(len(dimensions), columns, *images.shape[1:])
            left = np.broadcast_to(x[0], rows[:, :1].shape)
            images = np.concatenate([left, rows], 1).reshape(-1, *images.shape[1:])
            columns += 1
        save_grid(folder / f"traversals_{name}.png", images, display, columns)
    codes = np.stack([traverse(mean, dimensions) for mean in means])
    frames = [
        make_grid(
            np.asarray(decode(at.reshape(-1, at.shape[-1])), np.float32),
            display,
            len(dimensions),
        )
        for at in np.moveaxis(codes, 2, 0)
    ]
    frames += frames[-2:0:-1]  # and back
    frames[0].save(
        folder / "traversals.gif",
        save_all=True,
        append_images=frames[1:],
        duration=FRAME_MILLISECONDS,
        loop=0,
    )

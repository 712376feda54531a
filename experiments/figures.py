"""Pictures of a run, as PNG and GIF."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.program import Program
from vae import rng
from vae.build import Experiment
from vae.data.splits import evenly_spaced
from vae.latents.traverse import QUANTILES, traverse
from vae.types import Params

COLUMNS, ROWS = 16, 8
GAP = 2  # pixels between images
TRAVERSED = 10  # dimensions at most, those of the largest KL
FRAME_MILLISECONDS = 120


def save_grid(path: Path, images: np.ndarray, columns: int = COLUMNS) -> None:
    """Writes a grid of images [N, H, W, C]; see `make_grid`."""
    make_grid(images, columns).save(path)


def make_grid(images: np.ndarray, columns: int) -> Image.Image:
    """Sets images [N, H, W, C] with pixels in [0, 1] (clipped) in reading order,
    enlarged to a width that can be looked at. Unless C is 3, channel 0 is shown.
    """
    images = images if images.shape[-1] == 3 else images[..., :1]
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    tile = (height + GAP, width + GAP)
    grid = np.full((rows * tile[0] + GAP, columns * tile[1] + GAP, channels), 0.5)
    for i, image in enumerate(images):
        top, left = (n * t + GAP for n, t in zip(divmod(i, columns), tile, strict=True))
        grid[top : top + height, left : left + width] = image
    pixels = (np.clip(grid, 0, 1) * 255).round().astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    scale = max(1, round(1000 / picture.width))
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.NEAREST)


def draw_samples(
    experiment: Experiment, program: Program, variables: Params, folder: Path
) -> None:
    """Writes `samples.png`: the mean image of each of 128 codes from the prior. A
    conditional model's labels go from left to right."""
    key = rng.stream(experiment.seed, "samples")
    samples = program.views.generate(variables, key, labels(experiment))
    save_grid(folder / "samples.png", np.asarray(samples, np.float32))


def labels(experiment: Experiment) -> np.ndarray:
    """A conditional model's labels, from left to right in each row."""
    return np.tile(np.arange(COLUMNS), ROWS) % (experiment.model.num_labels or 1)


def draw_reconstructions(
    experiment: Experiment, program: Program, variables: Params, folder: Path
) -> None:
    """Writes `reconstructions.png`: test images, each above the mean image of one code
    drawn from its posterior."""
    test = experiment.dataset.test
    stored = test[evenly_spaced(test.size, min(test.size, COLUMNS * ROWS // 2))]
    key = rng.stream(experiment.seed, "figures")
    pairs = program.views.reconstruct(variables, key, stored)
    originals, reconstructions = (np.asarray(a, np.float32) for a in pairs)
    rows = []
    for start in range(0, stored.size, COLUMNS):
        for images in (originals, reconstructions):
            row = images[start : start + COLUMNS]
            padding = [(0, COLUMNS - len(row)), (0, 0), (0, 0), (0, 0)]
            rows.append(np.pad(row, padding, constant_values=0.5))
    save_grid(folder / "reconstructions.png", np.concatenate(rows))


def traversed_dimensions(kl_per_dim: Sequence[float]) -> np.ndarray:
    """Returns the dimensions that are traversed, that of the largest KL first."""
    return np.argsort(kl_per_dim)[::-1][:TRAVERSED]


def draw_traversals(
    decode: Callable[[np.ndarray], Any],
    x: np.ndarray,
    means: np.ndarray,
    kl_per_dim: Sequence[float],
    folder: Path,
) -> None:
    """Writes what one dimension changes: `traversals_prior.png`, from the prior's mean,
    and `traversals_posterior.png`, from the posterior mean of the first image (on the
    left). A row is a dimension, of the largest KL first; a column is a quantile of the
    prior. In `traversals.gif` a column is a dimension, a row an image, and time the
    quantile.

    Args:
      decode: codes [N, D] -> mean images [N, H, W, C].
      x: images [N, H, W, C].
      means: their posterior means [N, D].
      kl_per_dim: in nats [D].
      folder: of the pictures.
    """
    dimensions = traversed_dimensions(kl_per_dim)
    for name, base in (("prior", np.zeros_like(means[0])), ("posterior", means[0])):
        codes = traverse(base, dimensions).reshape(-1, len(base))
        images = np.asarray(decode(codes), np.float32)
        columns = len(QUANTILES)
        if name == "posterior":
            rows = images.reshape(len(dimensions), columns, *images.shape[1:])
            left = np.broadcast_to(x[0], rows[:, :1].shape)
            images = np.concatenate([left, rows], 1).reshape(-1, *images.shape[1:])
            columns += 1
        save_grid(folder / f"traversals_{name}.png", images, columns)
    codes = np.stack([traverse(mean, dimensions) for mean in means])
    frames = [
        make_grid(
            np.asarray(decode(at.reshape(-1, at.shape[-1])), np.float32),
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

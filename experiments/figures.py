"""Pictures of a run, as PNG."""

from pathlib import Path

import numpy as np
from PIL import Image

from experiments.program import Program
from vae import rng
from vae.build import Experiment
from vae.data.splits import evenly_spaced
from vae.types import Params

COLUMNS, ROWS = 16, 8
GAP = 2  # pixels between images


def save_grid(path: Path, images: np.ndarray, columns: int = COLUMNS) -> None:
    """Writes images [N, H, W, C] with pixels in [0, 1] (clipped) as a grid in reading
    order, enlarged to a width that can be looked at. Unless C is 3, channel 0 is shown.
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
    picture.resize(size, Image.Resampling.NEAREST).save(path)


def draw_samples(
    experiment: Experiment, program: Program, variables: Params, folder: Path
) -> None:
    """Writes `samples.png`: the mean image of each of 128 codes from the prior. A
    conditional model's labels go from left to right."""
    key = rng.stream(experiment.seed, "samples")
    samples = program.generate(variables, key, labels(experiment))
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
    pairs = program.reconstruct(variables, key, stored)
    originals, reconstructions = (np.asarray(a, np.float32) for a in pairs)
    rows = []
    for start in range(0, stored.size, COLUMNS):
        for images in (originals, reconstructions):
            row = images[start : start + COLUMNS]
            padding = [(0, COLUMNS - len(row)), (0, 0), (0, 0), (0, 0)]
            rows.append(np.pad(row, padding, constant_values=0.5))
    save_grid(folder / "reconstructions.png", np.concatenate(rows))

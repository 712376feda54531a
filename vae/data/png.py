"""How long images are as PNG."""

import io

import numpy as np
from PIL import Image


def png_lengths(images: np.ndarray) -> np.ndarray:
    """Returns how many nats each image [N, H, W, C] takes as PNG, with pixels in [0, 1]
    rounded to bytes; C is 1 or 3, else the channels are side by side."""
    pixels = np.clip(np.rint(images * 255), 0, 255).astype(np.uint8)
    if pixels.shape[-1] != 3:
        pixels = pixels.reshape(*pixels.shape[:2], -1)
    lengths = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", optimize=True)
        lengths.append(file.tell())
    return np.array(lengths) * 8 * np.log(2)

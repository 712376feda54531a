"""Picture files, decoded: upright, grey or RGB, all of one size."""

import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from vae.data.options import ReadOptions, advice
from vae.types import UserError

# Modes that are read as grey and as RGB; an alpha channel is dropped. Those that begin
# with I are greys of 16 bits.
GREY_MODES = ("1", "L", "LA")
COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
WHITE = 65_535  # of 16 bits
# Formats whose frames are pictures. The other frames of a camera's JPEG are previews.
FRAME_FORMATS = ("TIFF", "GIF", "PNG", "WEBP")
PREVIEW_OR_MASK = 1 | 4  # bits of a TIFF page's type, NewSubfileType
NAMED = 3  # faults that a message names, of those that it counts
LARGEST_ADVISED = 128  # side, in pixels, that a message proposes
UPRIGHT = {  # from EXIF's orientation to what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Picture(NamedTuple):
    """One picture: a file, or one frame of a file that has several."""

    file: Path  # relative to the folder that was named
    frame: int | None  # from 0; None: the file has one
    pixels: np.ndarray  # [H, W, 1 or 3]: uint8, or float32 in [0, 1] of 16 bits

    @property
    def name(self) -> str:
        """The file's path, as in `a/b.png`, with the frame as in `a/b.tif[3]`.

        Bytes of a file name that are not UTF-8 are surrogates in it.
        """
        return str(self.file) if self.frame is None else f"{self.file}[{self.frame}]"


def read_files(
    folder: Path, files: list[Path], where: str, options: ReadOptions
) -> list[Picture]:
    """Decodes files, given relative to the folder; of several frames, each of them.

    Raises:
      UserError: some files cannot be read and `skip_unreadable` is off, or no file can
        be read.
    """
    pictures: list[Picture] = []
    faults: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of metadata and of large pictures
        for file in files:
            try:
                pictures += [
                    Picture(file, frame, pixels)
                    for frame, pixels in _frames(folder / file, options)
                ]
            except MemoryError:
                raise
            except Exception as error:  # damaged files raise errors of a dozen types
                faults.append(f"{file} ({_reason(error)})")
    if faults:
        _tell(faults, len(files), where, options)
    if not pictures:
        raise UserError(f"{where}: no picture can be read")
    return pictures


def _tell(faults: list[str], count: int, where: str, options: ReadOptions) -> None:
    more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    named = f"{', '.join(faults[:NAMED])}{more}"
    if options.skip_unreadable:
        logging.warning(
            "%s: left out %d of %d files, which cannot be read: %s",
            *(where, len(faults), count, named),
        )
        return
    fix = advice(where, "skip_unreadable=True", "repair or remove them")
    raise UserError(
        f"{where}: {len(faults)} of {count} files cannot be read as pictures: "
        f"{named}: {fix}"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    if isinstance(error, PermissionError):
        return "no permission"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    return " ".join(str(error).split())[:100] or type(error).__name__


def _frames(
    path: Path, options: ReadOptions
) -> Iterator[tuple[int | None, np.ndarray]]:
    """Yields the number, None of a file with one picture, and the pixels of frames."""
    if not os.path.isfile(path):  # opening a pipe would wait for ever
        raise ValueError("not a file")
    # Pillow 13 maps uncompressed files that it opens by name into memory, and reads
    # TIFFs that are to be turned wrongly then.
    with path.open("rb") as stream, Image.open(stream) as picture:
        has_frames = picture.format in FRAME_FORMATS
        count = getattr(picture, "n_frames", 1) if has_frames else 1
        for frame in range(count):
            picture.seek(frame)
            page_type = getattr(picture, "tag_v2", {}).get(254, 0)
            if count == 1 or not page_type & PREVIEW_OR_MASK:
                yield None if count == 1 else frame, _pixels(picture, options)


def _pixels(picture: Image.Image, options: ReadOptions) -> np.ndarray:
    """Returns the pixels [H, W, C] of the current frame; C is 1 if it is all grey."""
    picture.load()
    plain = _upright(_in_plain_mode(picture), picture)
    if options.size is not None:
        height, width = options.size
        plain = ImageOps.fit(plain, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(plain)
    if 0 in pixels.shape:
        raise ValueError("it has no pixels")
    if pixels.dtype != np.uint8:
        pixels = np.clip(pixels, 0, 1)  # resizing rounds
    if pixels.ndim == 2:
        return pixels[..., np.newaxis]
    return pixels[..., :1] if (pixels == pixels[..., :1]).all() else pixels


def _in_plain_mode(picture: Image.Image) -> Image.Image:
    """Returns a picture of mode L, RGB, or, in [0, 1], F."""
    if picture.mode in GREY_MODES:
        return picture.convert("L")
    if picture.mode in COLOUR_MODES:
        return picture.convert("RGB")
    if not picture.mode.startswith("I"):
        raise ValueError(
            f"pixels of mode {picture.mode}, neither 8 nor 16 bits: convert it, or use "
            "npz:PATH with floats"
        )
    levels = np.asarray(picture)
    if levels.size and not 0 <= levels.min() <= levels.max() <= WHITE:
        raise ValueError("32 bits a pixel: convert it, or use npz:PATH with floats")
    return Image.fromarray((levels / WHITE).astype(np.float32))


def _upright(plain: Image.Image, picture: Image.Image) -> Image.Image:
    """Turns or flips a copy of the picture as its EXIF says it is to be seen."""
    try:
        method = UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF says nothing
        method = None
    return plain if method is None else plain.transpose(method)


def stack(pictures: list[Picture], where: str, least_channels: int = 1) -> np.ndarray:
    """Returns images [N, H, W, C]: bytes, or floats in [0, 1] if one has 16 bits.

    C is 3 if one of them has colours, else `least_channels`.

    Raises:
      UserError: their sizes differ.
    """
    _check_sizes(pictures, where)
    shapes = np.array([picture.pixels.shape for picture in pictures])
    is_bytes = all(picture.pixels.dtype == np.uint8 for picture in pictures)
    height, width, channels = shapes.max(axis=0)
    images = np.empty(
        (len(pictures), height, width, max(channels, least_channels)),
        np.uint8 if is_bytes else np.float32,
    )
    for image, (_, _, pixels) in zip(images, pictures, strict=True):
        image[:] = as_type(pixels, images.dtype)
    return images


def as_type(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Returns the pixels of pictures as uint8, or as float32 in [0, 1].

    Bytes become floats without loss; floats are rounded to the nearest of 256 levels.
    """
    if pixels.dtype == dtype:
        return pixels
    if dtype == np.uint8:
        return np.rint(pixels * 255).astype(np.uint8)
    return pixels / np.float32(255)


def _check_sizes(pictures: list[Picture], where: str) -> None:
    first = pictures[0]
    sizes = {picture.pixels.shape[:2] for picture in pictures}
    if len(sizes) == 1:
        return
    other = next(p for p in pictures if p.pixels.shape[:2] != first.pixels.shape[:2])
    sides = Counter(min(picture.pixels.shape[:2]) for picture in pictures)
    side = min(sides.most_common(1)[0][0], LARGEST_ADVISED)
    setting = f"resize={side} (each is cut in the middle to a square and scaled)"
    shown = [
        f"{picture.name} is {'x'.join(map(str, picture.pixels.shape[:2]))}"
        for picture in (first, other)
    ]
    raise UserError(
        f"{where}: pictures of mixed sizes: {', '.join(shown)} (height x width); of "
        f"{len(sizes)} sizes: {advice(where, setting, 'resize them to one size')}"
    )

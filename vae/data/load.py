"""From a configuration to data: loaded, binarised, checked against the likelihood."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np

from vae.data import preprocess, sources
from vae.data.options import CHANNELS, read_options
from vae.data.pictures import as_type
from vae.data.preprocess import pixels_to_check, to_unit
from vae.data.splits import Dataset, Split, cut_validation, evenly_spaced
from vae.fields import Count, Field, Natural, Sizes, same
from vae.types import UserError, is_image, noun

Config = Any  # a ConfigDict
# Root mean square of what the encoder sees above which no model here begins near the
# data: the scales of likelihoods and networks begin near 1. All counts are within: of
# 2^24, the largest that float32 holds with all others, the encoder sees 16.6.
LARGEST_PIXELS = 17.0


class DatasetFields(NamedTuple):
    """The fields of `dataset`."""

    name: Annotated[str, Field()] = "mnist_5k"
    binarize: Annotated[str, Field(menu=same(*preprocess.BINARIZATIONS))] = "auto"
    resize: Sizes = ()
    skip_unreadable: Annotated[bool, Field()] = False
    channels: Annotated[str, Field(menu=same(*CHANNELS))] = "auto"
    keep_labels: Annotated[tuple[int, ...], Field(at_least=0)] = ()
    batch_size: Count = 100
    validation_size: Natural = 0


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
    if binarize != "auto":
        return binarize, []
    if likelihood != "bernoulli":
        return "none", []
    if is_image(dataset.event_shape):
        is_binary = preprocess.is_nearly_binary(dataset.train)
    else:  # a column of shares is not a smooth edge: only 0 and 1 are binary
        is_binary = bool(np.isin(to_unit(dataset.train.images), (0, 1)).all())
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
    """Returns images binarised as configured, once it is checked that the likelihood is
    a density over them and, unless a trained model `is_used`, that training can begin.

    Raises:
      UserError: some pixels are outside its support, or most are large.
    """
    dataset = preprocess.binarize_on_host(dataset, config.dataset.binarize)
    if config.dataset.binarize == "none":
        check_support(dataset, likelihood, config.model.likelihood.name)
        if not is_used:
            check_scale(dataset.train, likelihood.encoder_view)
    if config.model.condition == "label":
        check_labels(dataset)
    return dataset


def check_support(dataset: Dataset, likelihood: Any, name: str) -> None:
    """Refuses images that the likelihood called `name` is no density of.

    Raises:
      UserError: some pixels are outside its support.
    """
    for split_name, split in dataset._asdict().items():
        images = pixels_to_check(split)
        for start in range(0, len(images), 4096):
            pixels = to_unit(images[start : start + 4096])
            if not likelihood.supports(pixels):
                advice = likelihood.advice and f": {likelihood.advice}"
                draws = "; dataset.binarize=dynamic draws each pixel as 0 or 1"
                raise UserError(
                    f"model.likelihood.name={name} is a density over "
                    f"{likelihood.support}, but the {split_name} "
                    f"{noun(dataset.event_shape)} hold other values, between "
                    f"{pixels.min():.4g} and {pixels.max():.4g}{advice}"
                    + draws
                    * likelihood.is_binary()
                )


def check_scale(split: Split, encoder_view: Callable[[Any], Any]) -> None:
    """Refuses images of another scale than models begin at, as the encoder sees them.

    Raises:
      UserError: the root mean square of their pixels, or of a column of vectors, is
        above `LARGEST_PIXELS`.
    """
    images = pixels_to_check(split)
    pixels = to_unit(images[evenly_spaced(len(images), min(len(images), 4096))])
    squares, column = np.square(encoder_view(pixels)), ""
    advice = "rescale them to [0, 1] (values of 0 to 255 may be saved as uint8)"
    if not is_image(images.shape[1:]):
        worst = int(squares.mean(0).argmax())
        pixels, squares = pixels[:, worst], squares[:, worst]
        column, advice = f" in column {worst}", "standardise each column"
    if np.sqrt(squares.mean()) > LARGEST_PIXELS:
        raise UserError(
            f"the training {noun(images.shape[1:])} hold values from "
            f"{pixels.min():.4g} to {pixels.max():.4g}{column}, and models begin at a "
            f"scale of about 1: {advice}"
        )


def check_labels(dataset: Dataset) -> None:
    """Refuses data whose labels cannot condition a model.

    Raises:
      UserError: a split has none, or they are not small natural numbers.
    """
    for name, split in dataset._asdict().items():
        if split.size and split.labels is None:
            raise UserError(
                f"model.condition=label needs labels, but the {name} data have none"
            )
        if split.size and not 0 <= split.labels.min() <= split.labels.max() < 10_000:
            raise UserError(
                f"model.condition=label needs labels 0, 1, ... below 10,000, but those "
                f"of {name} range from {split.labels.min()} to {split.labels.max()}"
            )


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
    none = Split(images.images[:0], None)
    return for_model(
        Dataset(none, none, images),
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

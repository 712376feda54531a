"""Refusals of data that a model cannot be trained on."""

from collections.abc import Callable
from typing import Any

import numpy as np

from vae.data.columns import value_names
from vae.data.preprocess import pixels_to_check, to_unit
from vae.data.splits import Dataset, evenly_spaced
from vae.data.storage import blocks
from vae.types import UserError, is_image, noun

# Root mean square of what the encoder sees above which no model here begins near the
# data: the scales of likelihoods and networks begin near 1. All counts are within: of
# 2^24, the largest that float32 holds with all others, the encoder sees 16.6.
LARGEST_PIXELS = 17.0


def check_support(dataset: Dataset, likelihood: Any, name: str) -> None:
    """Raises UserError for images outside the support of the likelihood `name`."""
    for split_name, split in dataset.splits.items():
        images = pixels_to_check(split)
        for _, block in blocks(images):
            pixels = to_unit(block)
            if not likelihood.supports_observed(pixels):
                advice = likelihood.advice and f": {likelihood.advice}"
                draws = "; dataset.binarize=dynamic draws each pixel as 0 or 1"
                raise UserError(
                    f"model.likelihood.name={name} is a density over "
                    f"{likelihood.support}, but the {split_name} "
                    f"{noun(dataset.event_shape)} hold other values, between "
                    f"{np.nanmin(pixels):.4g} and {np.nanmax(pixels):.4g}{advice}"
                    + draws
                    * likelihood.is_binary()
                )


def check_scale(dataset: Dataset, encoder_view: Callable[[Any], Any]) -> None:
    """Refuses examples of another scale than models begin at, as the encoder sees them.

    Raises:
      UserError: the root mean square of their pixels, or of a column of vectors, is
        above `LARGEST_PIXELS`.
    """
    images = pixels_to_check(dataset.train)
    pixels = to_unit(images[evenly_spaced(len(images), min(len(images), 4096))])
    squares, column = np.square(np.nan_to_num(encoder_view(pixels))), ""
    advice = "rescale them to [0, 1] (values of 0 to 255 may be saved as uint8)"
    if not is_image(images.shape[1:]):
        worst = int(squares.mean(0).argmax())
        pixels, squares = pixels[:, worst], squares[:, worst]
        name = value_names(dataset.columns, images.shape[1])[worst]
        column, advice = f" in column {name}", "set dataset.scale=standardize"
    if np.sqrt(squares.mean()) > LARGEST_PIXELS:
        raise UserError(
            f"the training {noun(images.shape[1:])} hold values from "
            f"{np.nanmin(pixels):.4g} to {np.nanmax(pixels):.4g}{column}, and models "
            f"begin at a scale of about 1: {advice}"
        )


def check_labels(dataset: Dataset) -> None:
    """Refuses data whose labels cannot condition a model.

    Raises:
      UserError: a split has none, or they are not small natural numbers.
    """
    for name, split in dataset.splits.items():
        if split.size and split.labels is None:
            raise UserError(
                f"model.condition=label needs labels, but the {name} data have none"
            )
        if split.size and not 0 <= split.labels.min() <= split.labels.max() < 10_000:
            raise UserError(
                f"model.condition=label needs labels 0, 1, ... below 10,000, but those "
                f"of {name} range from {split.labels.min()} to {split.labels.max()}"
            )

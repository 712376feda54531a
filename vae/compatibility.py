"""Checks of what goes together: data, latent space, objective."""

from typing import Any

import numpy as np

from vae.data.preprocess import pixels_to_check, to_unit
from vae.data.splits import Dataset, Split, evenly_spaced
from vae.types import UserError

# Where the codes of posteriors live; a prior must live there too.
POSTERIORS_ON = {
    "the reals": (
        "diagonal_gaussian",
        "full_gaussian",
        "planar_flow",
        "iaf",
        "coupling_flow",
    ),
    "the sphere": ("von_mises_fisher",),
    "discrete codes": ("relaxed_categorical", "vector_quantized"),
}
PRIORS_ON = {
    "the reals": (
        "standard_normal",
        "conditional_gaussian",
        "gaussian_mixture",
        "vamp",
        "realnvp",
    ),
    "the sphere": ("uniform_on_sphere",),
    "discrete codes": ("uniform_codes", "autoregressive_codes"),
}

# A latent space of these is computed at a width of which it uses a part: see
# `models.padding`.
PADDED_POSTERIORS = ("diagonal_gaussian",)
PADDED_PRIORS = ("standard_normal", "conditional_gaussian", "gaussian_mixture", "vamp")


def is_padded(posterior: str, prior: str) -> bool:
    """Says if a latent space of these parts is padded."""
    return posterior in PADDED_POSTERIORS and prior in PADDED_PRIORS


# Root mean square of pixels above which no model here begins near the data: the scales
# of likelihoods and networks begin near 1.
LARGEST_PIXELS = 10.0


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
                raise UserError(
                    f"model.likelihood.name={name} is a density over "
                    f"{likelihood.support}, but the {split_name} images hold other "
                    f"values, between {pixels.min():.4g} and {pixels.max():.4g}"
                )


def check_scale(split: Split) -> None:
    """Refuses images of another scale than models begin at.

    Raises:
      UserError: the root mean square of their pixels is above `LARGEST_PIXELS`.
    """
    images = pixels_to_check(split)
    pixels = to_unit(images[evenly_spaced(len(images), min(len(images), 4096))])
    if np.sqrt(np.mean(np.square(pixels))) > LARGEST_PIXELS:
        raise UserError(
            f"the training images hold values from {pixels.min():.4g} to "
            f"{pixels.max():.4g}, and models begin at a scale of about 1: rescale them "
            "to [0, 1] (values of 0 to 255 may be saved as uint8)"
        )


def check_labels(dataset: Dataset) -> None:
    """Refuses data whose labels cannot condition a model.

    Raises:
      UserError: a split has none, or they are not small natural numbers.
    """
    for name, split in dataset._asdict().items():
        if split.size and split.labels is None:
            raise UserError(
                f"model.condition=label needs labels, but the {name} images have none"
            )
        if split.size and not 0 <= split.labels.min() <= split.labels.max() < 10_000:
            raise UserError(
                f"model.condition=label needs labels 0, 1, ... below 10,000, but those "
                f"of {name} range from {split.labels.min()} to {split.labels.max()}"
            )


def check_pseudo_inputs(dataset: Dataset) -> None:
    """Refuses images outside [0, 1] for a VampPrior, whose pseudo-inputs live there.

    Raises:
      UserError: pixels are smaller or larger.
    """
    images = pixels_to_check(dataset.train)
    low, high = to_unit(images.min(keepdims=True)), to_unit(images.max(keepdims=True))
    if low.item() < 0 or high.item() > 1:
        raise UserError(
            "model.prior.name=vamp needs pixels in [0, 1], but they range from "
            f"{low.item():.4g} to {high.item():.4g}: rescale the data"
        )


def check_latent_space(
    posterior: str, prior: str, condition: str, latent_dim: int
) -> None:
    """Refuses a prior that does not go with the posterior or the condition.

    Raises:
      UserError: it lives elsewhere, or needs what the others do not give.
    """
    (space,) = (s for s, names in POSTERIORS_ON.items() if posterior in names)
    if prior not in PRIORS_ON[space]:
        raise UserError(
            f"model.posterior.name={posterior} lives on {space}, but "
            f"model.prior.name={prior} does not: choose {' or '.join(PRIORS_ON[space])}"
        )
    if space == "the sphere" and latent_dim < 2:
        raise UserError(
            f"model.posterior.name={posterior} needs model.latent_dim of 2 or more"
        )
    if prior == "vamp" and (posterior != "diagonal_gaussian" or condition != "none"):
        raise UserError(
            "model.prior.name=vamp mixes diagonal Gaussians without labels: choose "
            "model.posterior.name=diagonal_gaussian and model.condition=none, or "
            "another prior"
        )
    if prior == "conditional_gaussian" and condition == "none":
        raise UserError(
            "model.prior.name=conditional_gaussian depends on the label: set "
            "model.condition=label"
        )


def check_halvings(
    field: str, channels: tuple[int, ...], size: tuple[int, int]
) -> None:
    """Refuses convolutions that halve an image of this size too often, or never.

    Raises:
      UserError: the size cannot be divided.
    """
    factor = 2 ** len(channels)
    if not channels:
        raise UserError(f"{field}.channels=() is empty: give one per halving")
    if size[0] % factor or size[1] % factor:
        raise UserError(
            f"{field}.channels={tuple(channels)} halves the image {len(channels)} "
            f"times, but {size[0]}x{size[1]} pixels cannot be divided by {factor}: "
            "give fewer channels, or choose another architecture if these are fixed"
        )


def check_minibatch(c: Any, batch_size: int) -> None:
    """Refuses objectives, the group `c`, that mean nothing on their minibatch.

    Raises:
      UserError: they compare examples but see one, or reward a discrepancy.
    """
    pairwise = ("info_vae", "wae_mmd", "dip_vae_i", "dip_vae_ii", "factor_vae")
    if batch_size < 2 and c.name in (*pairwise, "beta_tcvae"):
        raise UserError(
            f"objective.name={c.name} compares the examples of a minibatch: set "
            "dataset.batch_size to 2 or more"
        )
    if c.name == "info_vae" and not 1 - c.mmd_weight <= c.alpha <= 1:
        raise UserError(
            f"objective.alpha={c.alpha} must be at most 1, and at least 1 together "
            f"with objective.mmd_weight={c.mmd_weight}, or the rate or the discrepancy "
            "is rewarded"
        )

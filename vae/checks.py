"""Checks of single values of a configuration, with messages for people."""

import difflib
import math
from collections.abc import Mapping
from typing import Any

from vae.data.preprocess import to_unit
from vae.data.splits import Dataset
from vae.types import UserError

POSITIVE_INTEGERS = (
    "dataset.batch_size",
    "model.latent_dim",
    "model.posterior.num_layers",
    "model.posterior.num_classes",
    "model.posterior.embedding_dim",
    "model.prior.num_layers",
    "model.prior.num_components",
    "model.likelihood.num_components",
    "train.steps",
    "train.steps_per_call",
    "train.log_every",
    "evaluate.importance_samples",
    "evaluate.batch_size",
    "objective.num_samples",
    "objective.num_bounds",
)
NATURAL_NUMBERS = (
    "seed",
    "num_devices",
    "dataset.validation_size",
    "optimizer.schedule.warmup_steps",
    "model.encoder.blocks",
    "model.decoder.blocks",
    "evaluate.fitted_components",
    "train.evaluate_every",
    "train.checkpoint_every",
)
POSITIVE_NUMBERS = (
    "model.likelihood.scale",
    "model.posterior.temperature",
    "objective.multiplier_learning_rate",
    "objective.discriminator_learning_rate",
    "optimizer.learning_rate",
    "optimizer.eps",
    "objective.growth_steps",
)
DECAYS = ("optimizer.b1", "optimizer.b2")
WEIGHTS = (
    "objective.beta",
    "objective.gamma",
    "objective.capacity",
    "objective.free_nats",
    "objective.elbo_share",
    "objective.tc_weight",
    "objective.lambda_od",
    "objective.lambda_d",
    "objective.mmd_weight",
    "objective.commitment",
    "objective.distortion_target",
    "optimizer.clip_norm",
)
LAYER_SIZES = (
    "model.encoder.widths",
    "model.encoder.channels",
    "model.decoder.widths",
    "model.decoder.channels",
    "model.posterior.widths",
    "model.prior.widths",
    "objective.discriminator_widths",
)

# Fields that only some objectives read: their neutral value, and which read them.
GROWN_BETA = ("beta_vae", "free_bits", "free_bits_per_group")
READ_BY_SOME = {
    "objective.beta": (1.0, (*GROWN_BETA, "beta_tcvae")),
    "objective.growth": ("constant", (*GROWN_BETA, "capacity")),
}


def check_fields_are_read(config: Mapping[str, Any]) -> None:
    """Refuses a value that the chosen objective would silently ignore.

    Raises:
      UserError: the objective does not read the field.
    """
    name = _get(config, "objective.name")
    for field, (neutral, readers) in READ_BY_SOME.items():
        value = _get(config, field)
        if value != neutral and name not in readers:
            raise UserError(
                f"objective.name={name} does not read {field}={value}; leave it at "
                f"{neutral}, or use one of {', '.join(readers)}"
            )


def check_numbers(config: Mapping[str, Any]) -> None:
    """Refuses sizes, counts and rates that mean nothing.

    Args:
      config: the configuration as a tree of plain dictionaries.

    Raises:
      UserError: a number has the wrong type, sign or size.
    """
    for fields, kind, what in (
        (POSITIVE_INTEGERS, int, "a positive integer"),
        (NATURAL_NUMBERS, int, "zero or a positive integer"),
        (POSITIVE_NUMBERS, (int, float), "a positive number"),
    ):
        for field in fields:
            value = _get(config, field)
            is_number = isinstance(value, kind) and not isinstance(value, bool)
            if not (is_number and (value > 0 or (value == 0 and "zero" in what))):
                raise UserError(f"{field}={value!r} must be {what}")
    for field in LAYER_SIZES:
        sizes = _get(config, field)
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise UserError(f"{field}={tuple(sizes)} must hold positive integers")
    for field in DECAYS:
        if not 0 <= _get(config, field) < 1:
            raise UserError(f"{field}={_get(config, field)} must be in [0, 1)")
    for field in WEIGHTS:
        value = _get(config, field)
        if not (value >= 0 and math.isfinite(value)):
            raise UserError(f"{field}={value} must be zero or positive, and finite")
    if _get(config, "objective.elbo_share") > 1:
        raise UserError("objective.elbo_share must be in [0, 1]")
    for field in POSITIVE_NUMBERS:
        if not math.isfinite(_get(config, field)):
            raise UserError(f"{field} must be finite")
    validation_size = _get(config, "dataset.validation_size")
    if _get(config, "train.evaluate_every") and not validation_size:
        raise UserError(
            "train.evaluate_every needs validation data: set dataset.validation_size"
        )
    warmup, steps = "optimizer.schedule.warmup_steps", "train.steps"
    if _get(config, warmup) > _get(config, steps):
        raise UserError(
            f"{warmup}={_get(config, warmup)} is longer than the run "
            f"({steps}={_get(config, steps)})"
        )
    if _get(config, "seed") >= 2**32:
        raise UserError(f"seed={_get(config, 'seed')} must be below 2**32")


def _get(config: Mapping[str, Any], field: str) -> Any:
    value: Any = config
    for part in field.split("."):
        value = value[part]
    return value


def pick(field: str, name: str, menu: Mapping[str, Any]) -> Any:
    """Returns the entry of `menu` called `name`; see `one_of`."""
    return menu[one_of(field, name, tuple(menu))]


def one_of(field: str, name: str, menu: tuple[str, ...]) -> str:
    """Returns `name` if the menu has it.

    Raises:
      UserError: it has not; the message gives the menu and the nearest name.
    """
    if name in menu:
        return name
    near = difflib.get_close_matches(str(name), menu, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise UserError(f"{field}={name} is unknown{hint}: choose from {', '.join(menu)}")


def check_support(dataset: Dataset, likelihood: Any, name: str) -> None:
    """Refuses images that the likelihood called `name` is no density of.

    Raises:
      UserError: some pixels are outside its support.
    """
    for split_name, split in dataset._asdict().items():
        for start in range(0, split.size, 4096):
            pixels = to_unit(split.images[start : start + 4096])
            if not likelihood.supports(pixels):
                raise UserError(
                    f"model.likelihood.name={name} is a density over "
                    f"{likelihood.support}, but the {split_name} images hold other "
                    f"values, between {pixels.min():.4g} and {pixels.max():.4g}"
                )


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


def check_latent_space(posterior: str, prior: str, condition: str) -> None:
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


def check_fitted_density(posterior: str, components: int) -> None:
    """Refuses a mixture of Gaussians fitted to codes that are not on the reals.

    Raises:
      UserError: the codes are on the sphere, or discrete.
    """
    names = POSTERIORS_ON["the reals"]
    if components and posterior not in names:
        raise UserError(
            f"evaluate.fitted_components={components} fits Gaussians, which "
            f"model.posterior.name={posterior} has no use for: set it to 0, or choose "
            f"{' or '.join(names)}"
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
            f"times, but {size[0]}x{size[1]} pixels cannot be divided by {factor}; "
            "give fewer channels"
        )

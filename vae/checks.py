"""Checks of single values of a configuration, with messages for people."""

import math
from collections.abc import Mapping
from typing import Any

from vae.types import UserError, one_of

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
    "runtime.steps_per_call",
    "train.log_every",
    "evaluate.importance_samples",
    "evaluate.batch_size",
    "evaluate.ppca_components",
    "evaluate.annealed_steps",
    "objective.num_samples",
    "objective.num_bounds",
)
NATURAL_NUMBERS = (
    "seed",
    "runtime.num_devices",
    "dataset.validation_size",
    "optimizer.schedule.warmup_steps",
    "model.encoder.blocks",
    "model.decoder.blocks",
    "evaluate.fitted_components",
    "evaluate.factor_points",
    "evaluate.regret_images",
    "evaluate.annealed_images",
    "train.evaluate_every",
    "runtime.checkpoint_every",
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
FLOAT32_RANGE, MOST_INTEGER = (1e-37, 1e38), 2**31 - 1
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
    "optimizer.clip_norm",
)
FINITE = ("objective.distortion_target", "objective.alpha")
LAYER_SIZES = (
    "model.encoder.widths",
    "model.encoder.channels",
    "model.decoder.widths",
    "model.decoder.channels",
    "model.posterior.widths",
    "model.prior.widths",
    "objective.discriminator_widths",
)

# Fields that only some of a group's choices read: their default, and which do.
GROWN_BETA = ("beta_vae", "free_bits", "free_bits_per_group")
READ_BY_SOME = {
    "model.posterior.scale": (
        "exp",
        ("diagonal_gaussian", "planar_flow", "iaf", "coupling_flow"),
    ),
    "objective.beta": (1.0, (*GROWN_BETA, "beta_tcvae")),
    "objective.growth": ("constant", (*GROWN_BETA, "capacity")),
    "objective.gamma": (1_000.0, ("capacity",)),
    "objective.capacity": (25.0, ("capacity",)),
    "objective.free_nats": (0.1, ("free_bits", "free_bits_per_group")),
    "objective.distortion_target": (80.0, ("geco",)),
    "objective.multiplier_learning_rate": (1e-4, ("geco",)),
    "objective.num_bounds": (1, ("miwae", "piwae")),
    "objective.elbo_share": (0.5, ("ciwae",)),
    "objective.estimator": ("weighted", ("beta_tcvae",)),
    "objective.tc_weight": (10.0, ("factor_vae",)),
    "objective.discriminator_learning_rate": (1e-4, ("factor_vae",)),
    "objective.lambda_od": (10.0, ("dip_vae_i", "dip_vae_ii")),
    "objective.lambda_d": (100.0, ("dip_vae_i", "dip_vae_ii")),
    "objective.alpha": (0.0, ("info_vae",)),
    "objective.mmd_weight": (100.0, ("info_vae", "wae_mmd")),
    "objective.kernel": ("imq", ("info_vae", "wae_mmd")),
    "objective.commitment": (0.25, ("vq_vae",)),
    "optimizer.b1": (0.9, ("adam", "sgd")),
    "optimizer.b2": (0.999, ("adam", "rmsprop", "centered_rmsprop")),
    "optimizer.eps": (1e-8, ("adam", "adagrad", "rmsprop", "centered_rmsprop")),
}
# Fields that are read if another is set: their default, and the other.
READ_WITH = {"evaluate.annealed_steps": (1_000, "evaluate.annealed_images")}


def check_fields_are_read(config: Mapping[str, Any]) -> None:
    """Refuses a value that would silently be ignored.

    Raises:
      UserError: what is chosen does not read the field, or nothing does without
        another.
    """
    for field, (neutral, readers) in READ_BY_SOME.items():
        reader = f"{field.rpartition('.')[0]}.name"
        name, value = _get(config, reader), _get(config, field)
        if value != neutral and name not in readers:
            raise UserError(
                f"{reader}={name} does not read {field}={value}; leave it at "
                f"{neutral}, or use one of {', '.join(readers)}"
            )
    for field, (neutral, other) in READ_WITH.items():
        value = _get(config, field)
        if value != neutral and not _get(config, other):
            raise UserError(
                f"nothing reads {field}={value} without {other}; leave it at "
                f"{neutral}, or set {other}"
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
    _check_machine_numbers(config)
    for field in LAYER_SIZES:
        sizes = _get(config, field)
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise UserError(f"{field}={tuple(sizes)} must hold positive integers")
    for field in DECAYS:
        if not 0 <= _get(config, field) < 1:
            raise UserError(f"{field}={_get(config, field)} must be in [0, 1)")
    for field in FINITE:
        if not math.isfinite(_get(config, field)):
            raise UserError(f"{field}={_get(config, field)} must be finite")
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


def _check_machine_numbers(group: Mapping[str, Any], prefix: str = "") -> None:
    """Refuses numbers that 32 bits do not hold: finite ones that would be infinite or
    zero, and larger integers."""
    for name, value in group.items():
        field = f"{prefix}{name}"
        if isinstance(value, Mapping):
            _check_machine_numbers(value, f"{field}.")
        elif isinstance(value, float) and math.isfinite(value) and value:
            low, high = FLOAT32_RANGE
            if not low <= abs(value) <= high:
                raise UserError(
                    f"{field}={value} is beyond single precision: choose a number "
                    f"between {low:.0e} and {high:.0e}"
                )
        elif isinstance(value, int) and field != "seed" and abs(value) > MOST_INTEGER:
            raise UserError(f"{field}={value} must be at most {MOST_INTEGER}")


def _get(config: Mapping[str, Any], field: str) -> Any:
    value: Any = config
    for part in field.split("."):
        value = value[part]
    return value


def describe_lopsided(c: Any) -> list[str]:
    """Returns a note if encoder and decoder, of the group `c`, are of one kind but
    differ in a field that both read: a change of one leaves the other as it was."""
    if c.encoder.name != c.decoder.name:
        return []
    differing = [
        f"{field}={c.encoder[field]} in model.encoder and {c.decoder[field]} in "
        f"model.decoder"
        for field in ("widths", "activation", "channels", "blocks")
        if c.encoder[field] != c.decoder[field]
    ]
    if not differing:
        return []
    return [f"note: encoder and decoder differ: {'; '.join(differing)}"]


def pick(field: str, name: str, menu: Mapping[str, Any]) -> Any:
    """Returns the entry of `menu` called `name`; see `one_of`."""
    return menu[one_of(field, name, tuple(menu))]

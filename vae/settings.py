"""The fields of a configuration that no menu has, and checks of what goes together."""

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp

from vae.bind import Binding, check, parameters_of, written
from vae.compose import ModelFields, bind_menus, group_of
from vae.data.load import DatasetFields
from vae.evaluation.base import Subject
from vae.evaluation.registry import EVALUATIONS
from vae.fields import Count, Field, Natural, same
from vae.registry import PRECISIONS
from vae.training.loop import TrainPlan
from vae.training.parallel import MODES
from vae.training.step import make_train_step
from vae.types import UserError

Config = dict[str, Any]  # the operative configuration, a plain tree


class Numerics(NamedTuple):
    """The fields that stand in no group."""

    seed: Annotated[int, Field(at_least=0, below=2**32)] = 0
    precision: Annotated[Any, Field(menu=PRECISIONS)] = jnp.float32
    matmul_precision: Annotated[str, Field(menu=same("default", "high", "highest"))] = (
        "default"
    )


class Runtime(NamedTuple):
    """The fields of `runtime`, those of `TrainPlan` aside."""

    parallel: Annotated[str, Field(menu=same(*MODES))] = "auto"
    num_devices: Natural = 0
    data_dir: Annotated[str, Field()] = ""
    pipeline: Annotated[str, Field(menu=same("auto", "resident", "stream"))] = "auto"
    evaluation_batch_size: Count = 100


# Who reads the fields of a group that has no menu.
READERS: dict[str, tuple[Any, ...]] = {
    "": (Numerics,),
    "dataset": (DatasetFields,),
    "model": (ModelFields,),
    "optimizer": (make_train_step,),
    "train": (TrainPlan,),
    "runtime": (Runtime, TrainPlan),
    **{
        f"evaluate.{name}": (evaluation.run,)
        for name, evaluation in EVALUATIONS.items()
        if parameters_of(evaluation.run)
    },
}


def plan_of(config: Config) -> TrainPlan:
    return TrainPlan(
        **config["train"],
        steps_per_call=config["runtime"]["steps_per_call"],
        checkpoint_every=config["runtime"]["checkpoint_every"],
    )


def check_config(config: Config) -> dict[str, Binding]:
    """Returns the method that each group of the configuration names.

    Raises:
      UserError: a name is unknown, or a value is out of range, not read, or does not go
        with another.
    """
    bound = bind_menus(config)
    for path, readers in READERS.items():
        group, read = group_of(config, path), parameters_of(*readers)
        check(path, {field: group[field] for field in read if field in group}, read)
    if config["train"]["evaluate_every"] and not config["dataset"]["validation_size"]:
        raise UserError(
            "train.evaluate_every needs validation data: set dataset.validation_size"
        )
    warmup, steps = config["optimizer"]["schedule"]["warmup_steps"], config["train"]
    if warmup > steps["steps"]:
        raise UserError(
            f"optimizer.schedule.warmup_steps={warmup} is longer than the run "
            f"(train.steps={steps['steps']})"
        )
    if bound["objective"].entry.couples and config["dataset"]["batch_size"] < 2:
        raise UserError(
            f"objective.name={config['objective']['name']} compares the examples of a "
            "minibatch: set dataset.batch_size to 2 or more"
        )
    return bound


def check_evaluations(subject: Subject, asked: Config) -> None:
    """Refuses evaluations that are asked for and cannot be done.

    Raises:
      UserError: the first of them, and why.
    """
    for name, evaluation in EVALUATIONS.items():
        fields, switch = asked.get(name, {}), evaluation.switch
        if switch is None or not fields[switch]:
            continue
        if reason := evaluation.applies(subject, **fields):
            off = "" if isinstance(fields[switch], str) else 0
            raise UserError(
                f"evaluate.{name}: {reason}; set evaluate.{name}.{switch}={off!r}"
            )


def describe_narrow(model: Config) -> list[str]:
    """Returns a note on each autoregressive network with a layer too narrow to see all
    dimensions; see `vae.nn.flows.Autoregressive`."""
    needed = model["latent_dim"] - 1
    return [
        f"note: model.{part}.widths={written(model[part]['widths'])}: the last of "
        f"{needed + 1} dimensions depend on the first {min(model[part]['widths'])} "
        f"only; give each layer {needed} units or more"
        for part, name in (("posterior", "iaf"), ("prior", "autoregressive_codes"))
        if model[part]["name"] == name
        and min(model[part]["widths"], default=needed) < needed
    ]


def describe_lopsided(model: Config) -> list[str]:
    """Returns a note if encoder and decoder are of one kind but differ in a field that
    both read: a change of one leaves the other as it was."""
    encoder, decoder = model["encoder"], model["decoder"]
    if encoder["name"] != decoder["name"]:
        return []
    differing = [
        f"{field}={written(encoder[field])} in model.encoder and "
        f"{written(decoder[field])} in model.decoder"
        for field in ("widths", "activation", "channels", "blocks")
        if encoder[field] != decoder[field]
    ]
    if not differing:
        return []
    return [f"note: encoder and decoder differ: {'; '.join(differing)}"]

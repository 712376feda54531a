"""From a configuration to a model, an objective and an optimizer."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, NamedTuple

import optax
from flax import linen as nn

from vae.bind import (
    Binding,
    Method,
    as_json,
    bind,
    bind_method,
    default_of,
    parameters_of,
)
from vae.data import preprocess
from vae.data.options import OBSERVED_ONLY
from vae.data.splits import Dataset, evenly_spaced
from vae.fields import Count, Field
from vae.models.base import Model
from vae.nn import decoders
from vae.nn.layers import INITIALIZERS
from vae.registry import MENUS, PRECISIONS
from vae.training import optimizer
from vae.training.averaging import with_average
from vae.training.step import make_train_step
from vae.types import Objective, Unsupported, UserError

Config = dict[str, Any]  # the operative configuration, a plain tree


def zeros(dataset: Dataset, likelihood: Any) -> Any:
    """Biases of zero."""
    del dataset, likelihood
    return nn.initializers.zeros


def data_mean(dataset: Dataset, likelihood: Any) -> Any:
    """Biases at which the decoder gives the mean of the training images."""
    mean = preprocess.mean_image(dataset.train)
    return decoders.bias_from_mean(mean, likelihood.features_of_mean)


BIASES = {"data_mean": data_mean, "zeros": zeros}
CONDITIONS = {"none": False, "label": True}


def output_bias(
    dataset: Dataset,
    likelihood: Any,
    *,
    output_bias: Annotated[Method, Field(menu=BIASES)] = data_mean,
) -> Any:
    """Returns the initialiser of the decoder's last biases."""
    return output_bias(dataset, likelihood)


class ModelFields(NamedTuple):
    """Fields of `model` itself."""

    name: Annotated[str, Field()] = "vae"
    latent_dim: Count = 20
    groups: Annotated[tuple[int, ...], Field(at_least=1, unless=("name", "vae"))] = ()
    condition: Annotated[bool, Field(menu=CONDITIONS)] = False
    initializer: Annotated[Any, Field(menu=INITIALIZERS)] = None


# Who reads the fields of a group that belong to no method of its menu.
HOLDERS: dict[str, tuple[Method, ...]] = {
    "model": (ModelFields,),
    "model.decoder": (output_bias,),
    "optimizer": (
        optimizer.make_optimizer,
        with_average,
        make_train_step,
    ),
    "optimizer.schedule": (optimizer.with_warmup,),
}


def bind_menus(config: Config) -> dict[str, Binding]:
    """Returns the method that each group of the configuration names.

    Raises:
      UserError: a name is unknown, or a value is out of range or not read.
    """
    return {
        path: bind(path, group_of(config, path), menu, *HOLDERS.get(path, ()))
        for path, menu in MENUS.items()
    }


def group_of(config: Config, path: str) -> Config:
    """Returns the group at a path, as in "model.posterior"; "" is the whole."""
    for name in path.split(".") if path else ():
        config = config[name]
    return config


class CannotWork(UserError):
    """A method of the configuration cannot work with the others, or with the data."""

    def __init__(self, path: str, message: str):
        super().__init__(message)
        self.path = path  # of its group


@contextmanager
def naming(config: Config, path: str) -> Iterator[None]:
    """Words what a method cannot do as an error about the field that names it: that of
    the group at `path`, unless the method is another part of the model."""
    try:
        yield
    except Unsupported as error:
        path = f"model.{error.part}" if error.part else path
        name = group_of(config, path)["name"]
        raise CannotWork(path, f"{path}.name={name} {error.message}") from error


@contextmanager
def offering(config: Config, attempt: Callable[[Config], Any]) -> Iterator[None]:
    """Adds to an error about a method what would work in its place, by trying."""
    try:
        yield
    except CannotWork as error:
        names = [
            name
            for name in MENUS[error.path]
            if _works(with_method(config, error.path, name), attempt)
        ]
        if not names:
            raise UserError(str(error)) from error
        hint = f"choose {' or '.join(names)}"
        raise UserError(f"{error}; with the other parts as they are, {hint}") from error


def _works(config: Config, attempt: Callable[[Config], Any]) -> bool:
    try:
        attempt(config)
    except UserError:
        return False
    return True


def with_method(config: Config, path: str, name: str) -> Config:
    """Returns a configuration that names another method, with its default fields."""
    fields = parameters_of(*MENUS[path].values())

    def replace(group: Config, within: list[str]) -> Config:
        if within:
            first, *rest = within
            return {**group, first: replace(group[first], rest)}
        held = group.keys() & fields.keys()
        defaults = {field: as_json(default_of(fields[field])) for field in held}
        return {**group, **defaults, "name": name}

    return replace(config, path.split("."))


class LatentParts(NamedTuple):
    """The parts of a model that depend on the sizes of its groups of codes."""

    posteriors: tuple[Any, ...]  # of each group, the lowest first
    prior: Any  # of the highest


def latent_parts(
    config: Config, bound: Mapping[str, Binding], latent_dim: int, **context: Any
) -> LatentParts:
    """Returns the posteriors and the prior, which may be built from the highest."""
    sizes = (latent_dim, *config["model"]["groups"])
    context |= {"dtype": PRECISIONS[config["precision"]]}
    with naming(config, "model.posterior"):
        build = bound["model.posterior"].build
        posteriors = tuple(build(latent_dim=size, **context) for size in sizes)
    with naming(config, "model.prior"):
        prior = bound["model.prior"].build(
            posterior=posteriors[-1], latent_dim=sizes[-1], **context
        )
    return LatentParts(posteriors, prior)


def make_likelihood(
    config: Config, bound: Mapping[str, Binding], dataset: Dataset
) -> Any:
    """Returns the likelihood, which may be built from the columns of a table.

    Raises:
      UserError: the data have none of which the likelihood could be built.
    """
    with naming(config, "model.likelihood"):
        return bound["model.likelihood"].build(columns=dataset.columns)


def model_maker(
    config: Config, bound: Mapping[str, Binding], dataset: Dataset
) -> Callable[[int, str | None], Model]:
    """Returns what builds the model, given the width of its latent space and the name
    of a `pmap`'s axis or None.

    Raises:
      UserError: the parts do not fit the data or one another.
    """
    fields = bind_method("model", config["model"], ModelFields)()
    dtype = PRECISIONS[config["precision"]]
    likelihood = make_likelihood(config, bound, dataset)
    *size, channels = dataset.event_shape
    with naming(config, "model.likelihood"):
        event_shape = (*size, likelihood.num_features(channels))
    bias = bind_method("model.decoder", config["model"]["decoder"], output_bias)
    bias_init = bias(dataset, likelihood)
    shared = {
        "likelihood": likelihood,
        "num_labels": _num_labels(dataset) if fields.condition else None,
        "initializer": fields.initializer,
        "observed_only": config["dataset"]["missing"] == OBSERVED_ONLY,
    }

    def examples(count: int) -> Any:
        chosen = evenly_spaced(dataset.train.size, count)
        pixels = preprocess.to_unit(dataset.train.images[chosen])
        return likelihood.encoder_view(pixels)

    def make(latent_dim: int, axis_name: str | None) -> Model:
        context = {"dtype": dtype, "axis_name": axis_name}
        with naming(config, "model.encoder"):
            encoder = bound["model.encoder"].build(**context)
        with naming(config, "model.decoder"):
            decoder = bound["model.decoder"].build(
                event_shape=event_shape, bias_init=bias_init, **context
            )
        latents = latent_parts(
            config, bound, latent_dim, encoder=encoder, examples=examples
        )
        lowest, *upper = latents.posteriors
        with naming(config, "model"):
            return bound["model"].build(
                parts={
                    "encoder": encoder,
                    "decoder": decoder,
                    "posterior": lowest,
                    "prior": latents.prior,
                    **shared,
                },
                upper_posteriors=upper,
                **context,
            )

    return make


def _num_labels(dataset: Dataset) -> int:
    """Returns how many labels a conditional model tells apart."""
    return int(max(s.labels.max() for s in dataset.splits.values() if s.size)) + 1


def objective_maker(
    bound: Mapping[str, Binding], dataset_size: int
) -> Callable[[Model, str | None], Objective]:
    """Returns what builds the objective, given a model and the name of a `pmap`'s axis
    or None."""

    def make(model: Model, axis_name: str | None) -> Objective:
        return bound["objective"].build(
            model=model,
            code_dim=model.code_dim,
            dataset_size=dataset_size,
            axis_name=axis_name,
        )

    return make


def make_optimizer(
    config: Config, bound: Mapping[str, Binding], steps_per_epoch: int
) -> optax.GradientTransformationExtraArgs:
    """Returns the optimizer of the model's parameters and of the objective's."""
    schedule = bound["optimizer.schedule"].build(
        total_steps=config["train"]["steps"],
        steps_per_epoch=steps_per_epoch,
    )
    group = config["optimizer"]
    warm = bind_method("optimizer.schedule", group["schedule"], optimizer.with_warmup)
    make = bind_method("optimizer", group, optimizer.make_optimizer)
    of_model = make(bound["optimizer"].build(), warm(schedule))
    own = bound["objective"].entry.optimizer
    tx = optimizer.by_part(of_model, of_model if own is None else own())
    return bind_method("optimizer", group, with_average)(tx)

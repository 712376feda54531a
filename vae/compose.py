"""From a configuration to a model, an objective and an optimizer."""

import inspect
from collections.abc import Callable
from typing import Any

import optax
from flax import linen as nn

from vae import menus
from vae.checks import pick
from vae.compatibility import (
    check_halvings,
    check_labels,
    check_latent_space,
    check_pseudo_inputs,
)
from vae.data import preprocess
from vae.data.splits import Dataset, evenly_spaced
from vae.fields import fields_of
from vae.models.base import Model
from vae.nn import decoders
from vae.nn.layers import INITIALIZERS, LOCATELLO
from vae.training import optimizer
from vae.types import Objective, UserError, one_of

Group = menus.Group
OUTPUT_BIASES = ("data_mean", "zeros")
CONDITIONS = ("none", "label")


def model_maker(c: Group, dataset: Dataset, dtype: Any) -> Callable[[int], Model]:
    """Returns what builds the model that the group `model` of a configuration names,
    given the width of its latent space.

    Raises:
      UserError: a name is unknown, or the parts do not go together.
    """
    model = pick("model.name", c.name, menus.MODELS)
    make_likelihood = menus.LIKELIHOODS[c.likelihood.name]
    likelihood = _bind("model.likelihood", make_likelihood, c.likelihood, {})
    height, width, channels = dataset.image_shape
    features = channels * likelihood.features_per_channel
    bias = one_of("model.decoder.output_bias", c.decoder.output_bias, OUTPUT_BIASES)
    bias_init = nn.initializers.zeros
    if bias == "data_mean":
        mean = preprocess.mean_image(dataset.train)
        bias_init = decoders.bias_from_mean(mean, likelihood.features_of_mean)
    make_inference = _inference_maker(c, dataset, dtype)
    fields = {
        "decoder": _layers(
            "decoder",
            c.decoder,
            menus.DECODERS,
            (height, width),
            image_shape=(height, width, features),
            bias_init=bias_init,
            dtype=dtype,
        ),
        "likelihood": likelihood,
        "num_labels": _num_labels(c.condition, dataset),
        "initializer": pick("model.initializer", c.initializer, INITIALIZERS),
    }
    return lambda latent_dim: model(**make_inference(latent_dim), **fields)


def _inference_maker(
    c: Group, dataset: Dataset, dtype: Any
) -> Callable[[int], dict[str, Any]]:
    """Returns what builds encoder, posterior and prior, which may hold one another."""
    make_posterior = pick("model.posterior.name", c.posterior.name, menus.POSTERIORS)
    make_prior = pick("model.prior.name", c.prior.name, menus.PRIORS)
    check_latent_space(c.posterior.name, c.prior.name, c.condition, c.latent_dim)
    if c.prior.name == "vamp":
        check_pseudo_inputs(dataset)
    size = dataset.image_shape[:2]
    encoder = _layers("encoder", c.encoder, menus.ENCODERS, size, dtype=dtype)

    def examples(count: int) -> Any:
        chosen = evenly_spaced(dataset.train.size, count)
        return preprocess.to_unit(dataset.train.images[chosen])

    def make(latent_dim: int) -> dict[str, Any]:
        parts: dict[str, Any] = {"latent_dim": latent_dim, "dtype": dtype}
        parts |= {"encoder": encoder, "examples": examples}
        posterior = _bind("model.posterior", make_posterior, c.posterior, parts)
        parts["posterior"] = posterior
        prior = _bind("model.prior", make_prior, c.prior, parts)
        return {"encoder": encoder, "posterior": posterior, "prior": prior}

    return make


def _bind(
    group: str, entry: Callable[..., Any], c: Group, parts: dict[str, Any]
) -> Any:
    """Calls an entry with its fields, and with what it takes of `parts`."""
    taken = inspect.signature(entry).parameters
    given = {name: part for name, part in parts.items() if name in taken}
    for name, parameter in fields_of(entry).items():
        value, menu = c[name], parameter.field.menu
        if menu is not None:
            value = pick(f"{group}.{name}", value, menu)
        given[name] = tuple(value) if isinstance(value, list | tuple) else value
    return entry(**given)


def _num_labels(condition: str, dataset: Dataset) -> int | None:
    """Returns how many labels a conditional model tells apart, or None without."""
    if one_of("model.condition", condition, CONDITIONS) == "none":
        return None
    check_labels(dataset)
    return int(max(split.labels.max() for split in dataset if split.size)) + 1


def _layers(
    part: str, c: Group, menu: dict[str, Any], size: tuple[int, int], **parts: Any
) -> Any:
    """Returns the encoder or decoder."""
    entry = pick(f"model.{part}.name", c.name, menu)
    if "convolution" in fields_of(entry):
        fixed = LOCATELLO["channels"]
        channels = c.channels if "channels" in fields_of(entry) else fixed
        check_halvings(f"model.{part}", channels, size)
    return _bind(f"model.{part}", entry, c, parts)


def objective_maker(
    c: Group, dataset: Dataset
) -> Callable[[Model, str | None], Objective]:
    """Returns what builds the objective, given a model and the name of a `pmap`'s axis
    or None.

    Raises:
      UserError: a name is unknown, or samples cannot be shared.
    """
    make = pick("objective.name", c.name, menus.OBJECTIVES)
    one_of("objective.estimator", c.estimator, tuple(menus.ESTIMATORS))
    one_of("objective.kernel", c.kernel, tuple(menus.KERNELS))
    if c.num_samples % c.num_bounds:
        raise UserError(
            f"objective.num_samples={c.num_samples} cannot be shared among "
            f"objective.num_bounds={c.num_bounds}; make it a multiple"
        )
    growth = pick("objective.growth", c.growth, menus.GROWTHS)

    def build_objective(model: Model, axis_name: str | None) -> Objective:
        task = menus.Task(
            model=model,
            code_dim=model.posterior.code_dim,
            dataset_size=dataset.train.size,
            growth=growth,
            axis_name=axis_name,
        )
        return make(c, task)

    return build_objective


def build_optimizer(
    config: Group, steps_per_epoch: int
) -> optax.GradientTransformationExtraArgs:
    """Returns the optimizer of the model's parameters and of the objective's."""
    c = config.optimizer
    scaling = pick("optimizer.name", c.name, menus.OPTIMIZERS)(c)
    schedule = pick("optimizer.schedule.name", c.schedule.name, menus.SCHEDULES)
    of_model = optimizer.make_optimizer(
        scaling,
        optimizer.with_warmup(
            schedule(config.train.steps, steps_per_epoch), c.schedule.warmup_steps
        ),
        c.clip_norm,
    )
    own = menus.OBJECTIVE_OPTIMIZERS.get(config.objective.name, lambda: of_model)
    return optimizer.by_part(of_model, own())

"""From a configuration to a model, an objective and an optimizer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
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
from vae.models.base import Model
from vae.nn import decoders
from vae.nn.layers import LOCATELLO
from vae.training import optimizer
from vae.types import Objective, UserError, one_of

Group = menus.Group
CONVOLUTIONS = ("auto", "matmul", "lax")
OUTPUT_BIASES = ("data_mean", "zeros")
CONDITIONS = ("none", "label")


def model_maker(c: Group, dataset: Dataset, dtype: Any) -> Callable[[int], Model]:
    """Returns what builds the model that the group `model` of a configuration names,
    given the width of its latent space.

    Raises:
      UserError: a name is unknown, or the parts do not go together.
    """
    model = pick("model.name", c.name, menus.MODELS)
    likelihood = menus.LIKELIHOODS[c.likelihood.name](c.likelihood)
    decoder = pick("model.decoder.name", c.decoder.name, menus.DECODERS)
    height, width, channels = dataset.image_shape
    features = channels * likelihood.features_per_channel
    bias = one_of("model.decoder.output_bias", c.decoder.output_bias, OUTPUT_BIASES)
    bias_init = nn.initializers.zeros
    if bias == "data_mean":
        mean = preprocess.mean_image(dataset.train)
        bias_init = decoders.bias_from_mean(mean, likelihood.features_of_mean)
    make_inference = _inference_maker(c, dataset, dtype)
    fields = {
        "decoder": decoder(
            **_layers("decoder", c.decoder, (height, width)),
            image_shape=(height, width, features),
            bias_init=bias_init,
            dtype=dtype,
        ),
        "likelihood": likelihood,
        "num_labels": _num_labels(c.condition, dataset),
        "kernel_init": pick("model.initializer", c.initializer, menus.INITIALIZERS),
    }
    return lambda latent_dim: model(**make_inference(latent_dim), **fields)


def _inference_maker(
    c: Group, dataset: Dataset, dtype: Any
) -> Callable[[int], dict[str, Any]]:
    """Returns what builds encoder, posterior and prior, which may hold one another."""
    encoder = pick("model.encoder.name", c.encoder.name, menus.ENCODERS)
    make_posterior = pick("model.posterior.name", c.posterior.name, menus.POSTERIORS)
    make_prior = pick("model.prior.name", c.prior.name, menus.PRIORS)
    layers = _layers("encoder", c.encoder, dataset.image_shape[:2])
    check_latent_space(c.posterior.name, c.prior.name, c.condition, c.latent_dim)
    if c.prior.name == "vamp":
        check_pseudo_inputs(dataset)
    shared = menus.Parts(
        latent_dim=c.latent_dim,
        dtype=dtype,
        density_dtype=jnp.promote_types(dtype, jnp.float32),
        encoder=encoder(**layers, dtype=dtype),
        examples=lambda count: preprocess.to_unit(
            dataset.train.images[evenly_spaced(dataset.train.size, count)]
        ),
    )

    def make(latent_dim: int) -> dict[str, Any]:
        parts = shared._replace(latent_dim=latent_dim)
        parts = parts._replace(posterior=make_posterior(c.posterior, parts))
        return {
            "encoder": parts.encoder,
            "posterior": parts.posterior,
            "prior": make_prior(c.prior, parts),
        }

    return make


def _num_labels(condition: str, dataset: Dataset) -> int | None:
    """Returns how many labels a conditional model tells apart, or None without."""
    if one_of("model.condition", condition, CONDITIONS) == "none":
        return None
    check_labels(dataset)
    return int(max(split.labels.max() for split in dataset if split.size)) + 1


def _layers(part: str, c: Group, size: tuple[int, int]) -> dict[str, Any]:
    """Returns the arguments that encoder and decoder of one kind share."""
    fields = menus.LAYER_FIELDS[c.name]
    arguments: dict[str, Any] = {}
    if "widths" in fields:
        arguments["widths"] = tuple(c.widths)
    if "activation" in fields:
        activation = pick(f"model.{part}.activation", c.activation, menus.ACTIVATIONS)
        arguments["activation"] = activation
    if "channels" in fields:
        arguments["channels"] = tuple(c.channels)
    if "blocks" in fields:
        arguments["blocks"] = c.blocks
    if "method" in fields:
        method = one_of(f"model.{part}.convolution", c.convolution, CONVOLUTIONS)
        if method == "auto":
            method = "matmul" if jax.default_backend() == "cpu" else "lax"
        arguments["method"] = method
        channels = arguments.get("channels", LOCATELLO["channels"])
        check_halvings(f"model.{part}", channels, size)
    return arguments


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

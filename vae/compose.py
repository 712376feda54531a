"""From the five axes of a configuration to a model."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from vae import decoders, menus, priors
from vae.checks import one_of, pick
from vae.compatibility import (
    check_halvings,
    check_labels,
    check_latent_space,
    check_pseudo_inputs,
)
from vae.data import preprocess
from vae.data.splits import Dataset
from vae.layers import LOCATELLO
from vae.models.base import Model

Group = menus.Group
CONVOLUTIONS = ("auto", "matmul", "lax")
OUTPUT_BIASES = ("data_mean", "zeros")
CONDITIONS = ("none", "label")


def compose_model(c: Group, dataset: Dataset, dtype: Any) -> Model:
    """Builds the model that the group `model` of a configuration names.

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
    return model(
        **_compose_inference(c, dataset, dtype),
        decoder=decoder(
            **_layers("decoder", c.decoder, (height, width)),
            image_shape=(height, width, features),
            bias_init=bias_init,
            dtype=dtype,
        ),
        likelihood=likelihood,
        num_labels=_num_labels(c.condition, dataset),
    )


def _compose_inference(c: Group, dataset: Dataset, dtype: Any) -> dict[str, Any]:
    """Builds encoder, posterior and prior, which may hold one another."""
    encoder = pick("model.encoder.name", c.encoder.name, menus.ENCODERS)
    make_posterior = pick("model.posterior.name", c.posterior.name, menus.POSTERIORS)
    make_prior = pick("model.prior.name", c.prior.name, menus.PRIORS)
    layers = _layers("encoder", c.encoder, dataset.image_shape[:2])
    parts = menus.Parts(
        latent_dim=c.latent_dim,
        dtype=dtype,
        density_dtype=jnp.promote_types(dtype, jnp.float32),
        encoder=encoder(**layers, dtype=dtype),
        examples=lambda count: preprocess.to_unit(
            priors.spread(dataset.train.images, count)
        ),
    )
    parts = parts._replace(posterior=make_posterior(c.posterior, parts))
    check_latent_space(c.posterior.name, c.prior.name, c.condition, c.latent_dim)
    if c.prior.name == "vamp":
        check_pseudo_inputs(dataset)
    return {
        "encoder": parts.encoder,
        "posterior": parts.posterior,
        "prior": make_prior(c.prior, parts),
    }


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

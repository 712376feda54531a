"""What a trained model says of codes and images, by functions compiled when they are
first called: the parts of a program that are not for training."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vae import rng
from vae.build import Experiment
from vae.data.splits import Split
from vae.distributions.transformed import TransformedDistribution
from vae.evaluation.collapse import decoder_sensitivity, information
from vae.evaluation.evaluate import look_at
from vae.evaluation.regret import make_likelihood_regret
from vae.latents.aggregate import infer_stored
from vae.types import Params

ANOMALY = "anomaly"  # names the noise of images that are scored as anomalies
SENSITIVE = 64  # codes at which the decoder is differentiated


class Views(NamedTuple):
    """They serve the same experiments as their program; each takes the variables."""

    generate: Callable[..., Any]  # (variables, key, labels [N]) -> p(x | z)'s means
    reconstruct: Callable[..., Any]  # (variables, key, stored) -> (x, means of one z)
    # (variables, seed, stored images, places) -> (x, means, a code drawn for each)
    encode: Callable[..., Any]
    decode: Callable[..., Any]  # (variables, z [N, D]) -> p(x | z)'s means
    use: Callable[..., Any]  # (variables, seed, stored, places) -> Usage
    codes: Callable[..., Any]  # (variables, seed, stored, places) -> one-hot [B, P, C]
    look: Callable[..., Any]  # (seed, stored, places) -> x, keys of noise
    regret: Callable[..., Any]  # (variables, seed, stored, places) -> regret [B]


class Usage(NamedTuple):
    """How the latent space, of which a part may be padding, is used."""

    code_variance: jax.Array  # [D], over images
    sensitivity: jax.Array  # [D]
    mutual_information: jax.Array | None  # nats; None if densities cost too much
    marginal_kl: jax.Array | None  # nats; None if each image has a prior of its own


def make_views(experiment: Experiment) -> Views:
    """Prepares what is compiled."""
    return Views(
        generate=jax.jit(_make_generate(experiment)),
        reconstruct=jax.jit(_make_reconstruct(experiment)),
        encode=jax.jit(_make_encode(experiment)),
        decode=jax.jit(_make_decode(experiment)),
        use=jax.jit(_make_use(experiment)),
        codes=jax.jit(_make_codes(experiment)),
        look=jax.jit(functools.partial(look_at, experiment.preprocess, name=ANOMALY)),
        regret=jax.jit(_make_regret(experiment)),
    )


def _make_generate(experiment: Experiment) -> Callable[..., Any]:
    def generate(variables: Params, key: jax.Array, labels: jax.Array) -> jax.Array:
        likelihood = experiment.model.apply(
            variables, key, len(labels), label=labels, method="generate"
        )
        return likelihood.mean

    return generate


def _make_reconstruct(experiment: Experiment) -> Callable[..., Any]:
    def reconstruct(variables: Params, key: jax.Array, stored: Split):
        positions = jnp.arange(stored.size)
        x, inference = infer_stored(
            experiment.model, variables, experiment.preprocess, stored, positions, key
        )
        return x, inference.likelihood.mean[0]

    return reconstruct


def _make_encode(experiment: Experiment) -> Callable[..., Any]:
    """Returns (variables, seed, stored images [B], places [B]) -> x, posterior means,
    and codes drawn from the posteriors, both as wide as the latent space is computed.

    What is drawn (colour, noise, binary pixels, codes) depends on the place only.
    """

    def encode(variables: Params, seed: jax.Array, stored: Any, places: jax.Array):
        keys = rng.per_example(rng.stream(seed, "codes"), places)
        x = experiment.preprocess(stored, keys)
        keys = rng.per_example(rng.stream(seed, "sampled_codes"), places)
        inference = experiment.model.apply(variables, x, keys)
        (group,) = inference.groups
        return x, group.posterior.mean, group.z[0]

    return encode


def _make_decode(experiment: Experiment) -> Callable[..., Any]:
    def decode(variables: Params, z: jax.Array) -> jax.Array:
        width = experiment.model.posterior.code_dim
        z = jnp.pad(z, ((0, 0), (0, width - z.shape[-1])))
        return experiment.model.apply(variables, z, method="decode").mean

    return decode


def _make_use(experiment: Experiment) -> Callable[..., Usage]:
    model = experiment.model

    def use(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        key = rng.stream(seed, "usage")
        _, inference = infer_stored(
            model, variables, experiment.preprocess, stored, places, key
        )
        (group,) = inference.groups
        z = group.z[0]
        labels = None if stored.labels is None else stored.labels[:SENSITIVE]

        def decode(z: jax.Array) -> jax.Array:
            return model.apply(variables, z, label=labels, method="decode").mean

        mutual = marginal = None
        if not isinstance(group.posterior, TransformedDistribution):
            mutual, marginal = information(
                group.posterior, group.prior, z, group.log_q[0]
            )
        return Usage(
            code_variance=z.var(axis=0),
            sensitivity=decoder_sensitivity(decode, z[:SENSITIVE]),
            mutual_information=mutual,
            marginal_kl=None if group.prior.batch_shape else marginal,
        )

    return use


def _make_codes(experiment: Experiment) -> Callable[..., Any]:
    """Returns the discrete codes of images, hard as in evaluation."""

    def codes(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        key = rng.stream(seed, "usage")
        _, inference = infer_stored(
            experiment.model, variables, experiment.preprocess, stored, places, key
        )
        (group,) = inference.groups
        return group.posterior.codes

    return codes


def _make_regret(experiment: Experiment) -> Callable[..., Any]:
    compute = make_likelihood_regret(experiment.model, experiment.importance_samples)

    def regret(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        x, keys = look_at(experiment.preprocess, seed, stored, places, name=ANOMALY)
        return compute(variables, x, None, keys)

    return regret

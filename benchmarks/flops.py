"""How many floating-point operations the matrix products of a model take."""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.extend import core

from experiments.cells import override
from vae.build import Config, Experiment, build
from vae.evaluation.bounds import make_importance_bound
from vae.training.state import TrainState, create_train_state
from vae.types import Batch, Params


def of_step(config: Config) -> int:
    """Counts those of one training step of the model at its own size."""
    experiment, batch, state = describe(config)
    _, objective = experiment.make_own(experiment.latent_dim)

    def gradient(params: Params, batch: Batch) -> Params:
        def loss(params: Params) -> jax.Array:
            key = jax.random.key(0)
            return objective.loss(params, batch, key, experiment.hparams, state.step)[0]

        return jax.grad(loss)(params)

    return count(jax.make_jaxpr(gradient)(state.params, batch).jaxpr)


def of_bound(config: Config) -> int:
    """Counts those of the importance-weighted bound of one image."""
    experiment, batch, state = describe(config)
    model, _ = experiment.make_own(experiment.latent_dim)
    bound = make_importance_bound(model, config.evaluate.bounds.importance_samples)
    image, keys = batch.x[:1], jax.random.split(jax.random.key(0), 1)
    arguments = ({"params": state.params["model"]}, image, None, keys)
    return count(jax.make_jaxpr(bound)(*arguments).jaxpr)


def num_parameters(params: Params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def count(jaxpr: core.Jaxpr) -> int:
    """Counts multiplications and additions of matrix products and convolutions, those
    in a `scan` as often as it turns.

    A convolution counts what touches an image, not the zeros of a stride's gradient.
    """
    return sum(_counts(jaxpr))


def _counts(jaxpr: core.Jaxpr) -> Iterator[int]:
    for equation in jaxpr.eqns:
        shapes = [_shape(variable) for variable in equation.invars]
        result = math.prod(_shape(equation.outvars[0]))
        params = equation.params
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            yield 2 * result * math.prod(shapes[0][axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            features: int = shapes[1][params["dimension_numbers"].rhs_spec[0]]
            zeros = math.prod(params["lhs_dilation"])
            yield 2 * result * math.prod(shapes[1]) // features // zeros
        for inner in core.jaxprs_in_params(params):
            yield params.get("length", 1) * count(inner)


def _shape(variable: Any) -> tuple[int, ...]:
    return getattr(variable.aval, "shape", ())


def describe(config: Config) -> tuple[Experiment, Batch, TrainState]:
    """Returns the experiment with its convolutions as such, a batch and a state."""
    lax = {f"model.{part}.convolution": "lax" for part in ("encoder", "decoder")}
    is_conv = config.model.encoder.name.startswith("conv")
    experiment = build(override(config, lax if is_conv else {}))
    size, shape = experiment.batch_size, experiment.dataset.event_shape
    batch = Batch(jnp.zeros((size, *shape)), None, jnp.arange(size))
    own = experiment.make_own(experiment.latent_dim)

    def create(batch: Batch) -> TrainState:
        hparams, tx = experiment.hparams, optax.identity()
        return create_train_state(0, batch, wide=own, own=own, tx=tx, hparams=hparams)

    return experiment, batch, jax.jit(create)(batch)

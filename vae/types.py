"""The contracts that every part of the library keeps.

Shape alphabet: K samples, B batch, L latent groups, D latent dimension, H W C image;
an event is one example: an image [H, W, C] or a vector [D].
All log-densities and divergences are in nats.
"""

import difflib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

Params = Any  # a pytree of arrays
Array = jax.Array | np.ndarray
Distribution = Any  # a numpyro.distributions.Distribution, whose own types are loose
Metrics = dict[str, jax.Array]


class UserError(Exception):
    """The user's input is wrong: one sentence on what, where and what to do."""


class Unsupported(ValueError):
    """A method cannot work with what it is given: "needs a KL per dimension".

    The message follows the method's name, as a verb and its object, and knows nothing
    of the command line: `vae.compose` words it for users. `part` is the part of the
    model that cannot work ("encoder", "prior", ...); without it, it is the model or the
    objective. In Python the part is named: "the prior depends on the label".
    """

    def __init__(self, message: str, part: str = ""):
        super().__init__(f"the {part} {message}" if part else message)
        self.message, self.part = message, part


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


def noun(event_shape: Sequence[int]) -> str:
    """What messages call examples of this shape."""
    return "images" if is_image(event_shape) else "vectors"


def is_image(event_shape: Sequence[int]) -> bool:
    """Whether examples of this shape are images [H, W, C], and not vectors [D]."""
    return len(event_shape) == 3


class Batch(NamedTuple):
    """One minibatch, ready for the model."""

    x: jax.Array  # images [B, H, W, C] or vectors [B, D], on the likelihood's support
    label: jax.Array | None  # [B] int32, or None for data without labels
    position: jax.Array  # [B] int32, place of each example in the global batch


class LatentGroup(NamedTuple):
    """One group of latent variables, inferred and sampled."""

    z: jax.Array  # [K, B, D]
    log_q: jax.Array  # [K, B], log q(z | x) of these samples
    # q(z | x), batch shape [B], or [K, B] given samples of another group
    posterior: Distribution
    prior: Distribution  # p(z), batch shape [] or [B], or [K, B] likewise
    used: jax.Array  # [D] bool; the other dimensions are zero and mean nothing


class Inference(NamedTuple):
    """What a model says of a batch; objectives and evaluations read only this."""

    groups: tuple[LatentGroup, ...]  # L groups
    likelihood: Distribution  # p(x | z), batch shape [K, B], event shape that of x
    # "ema_loss": zero, and its gradient moves moving averages (`layers.ema`);
    # "frozen_log_q", of several groups: log q(z | x) [K, B], by `frozen_log_prob`
    aux: dict[str, jax.Array]

    @property
    def codes(self) -> jax.Array:
        """The codes of all groups side by side, [K, B, D]."""
        return jnp.concatenate([group.z for group in self.groups], -1)


class ElboTerms(NamedTuple):
    """The terms of the evidence lower bound, per sample and example, in nats.

    References:
      Kingma & Welling 2013, arXiv 1312.6114, eq. 3; Alemi et al. 2018,
      arXiv 1711.00464, for the names rate and distortion.
    """

    distortion: jax.Array  # [K, B], -log p(x | z)
    rate: jax.Array  # [K, B], KL(q(z | x) || p(z)), closed form where there is one
    rate_per_group: jax.Array  # [L, K, B], sums to rate over L
    log_weights: jax.Array  # [K, B], log p(x | z) + log p(z) - log q(z | x)


class Objective(NamedTuple):
    """A training criterion: two pure functions.

    `init(key, batch)` returns the objective's own parameters (`{}` if it has none).
    `loss(params, batch, key, hparams, step)` returns `(scalar, metrics)`, where
    `params` is `{"model": ..., "objective": ...}`, `hparams` a dict of traced scalars,
    and every metric, among them `"loss"`, the mean over the batch.
    """

    init: Callable[[jax.Array, Batch], Params]
    loss: Callable[..., tuple[jax.Array, Metrics]]


class Codes(NamedTuple):
    """Mean and standard deviation of q(z | x).

    For a posterior without closed form, such as a flow, both are estimated from 100
    samples.
    """

    mean: Float[Array, "N D"]
    scale: Float[Array, "N D"]


class Estimate(NamedTuple):
    """An importance-weighted bound L_K on log p(x) and its standard error, in nats."""

    value: Float[Array, " N"]
    standard_error: Float[Array, " N"]  # by the delta method; nan for K = 1

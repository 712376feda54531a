"""Codes of a hierarchy, one group at a time; see `ancestral.Joint.to_noise`."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae.distributions.ancestral import Joint
from vae.distributions.gaussians import is_diagonal_gaussian
from vae.latents.interpolate import linear, spherical
from vae.models.base import SPHERE, Model
from vae.types import Array, Params, Unsupported


def of_dimensions(
    name: str, values: float | Sequence[float], sizes: Sequence[int]
) -> np.ndarray:
    """Returns the value of each dimension, float32 [D].

    Args:
      name: of the argument that gives `values`, for messages.
      values: one number for all groups, or one for each group.
      sizes: dimensions of each group; D is their sum.

    Raises:
      ValueError: there is another number of values than of groups, or one is negative
        or not finite.
    """
    given = np.asarray(values, np.float32)
    if given.shape not in ((), (len(sizes),)):
        raise ValueError(
            f"{name}={values} must be one value or {len(sizes)}, one for each group"
        )
    if not (np.isfinite(given) & (given >= 0)).all():
        raise ValueError(f"{name}={values} must be finite and 0 or more")
    return np.repeat(np.broadcast_to(given, len(sizes)), sizes)


def most_used(values: Sequence[float], sizes: Sequence[int], count: int) -> np.ndarray:
    """Returns `count` dimensions of the largest values, such as KLs, with a share of
    each group: the groups stand in order, each with its largest value first.

    Args:
      values: of each dimension [D].
      sizes: dimensions of each group; D is their sum.
      count: how many; all if there are fewer.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    ranked = [
        start + np.argsort(values[start : start + size])[::-1]
        for start, size in zip(starts, sizes, strict=True)
    ]
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*ranked))
    chosen = {*[i for i in in_turn if i is not None][:count]}
    return np.array([i for group in ranked for i in group if i in chosen])


def sample(
    model: Model,
    variables: Params,
    key: jax.Array,
    count: int,
    label: Array | None,
    temperature: Array,
    changed: tuple[bool, bool],
) -> jax.Array:
    """Draws codes [count, D] from the prior, whose standard deviation is multiplied by
    a temperature for each dimension [D]: that of a group given the groups above it.

    Args:
      model, variables: what `model.apply` takes.
      key: of the samples.
      count: how many.
      label: [count], of a conditional model.
      temperature: [D], may be traced.
      changed: whether any temperature is not 1, and whether the highest group's is not.

    Raises:
      Unsupported: the highest group's is not, and has no diagonal Gaussian as prior.

    References:
      Child 2020, arXiv 2011.10650, sec. 5 (samples at reduced temperature).
    """
    prior: Any = model.apply(variables, label, method="prior_of")
    z = prior.sample(key, () if prior.batch_shape else (count,))
    any_changed, highest_changed = changed
    if not any_changed:
        return z
    highest = prior.top if isinstance(prior, Joint) else prior
    if highest_changed and not is_diagonal_gaussian(highest):
        raise Unsupported("has no temperature: it is not a diagonal Gaussian", "prior")
    if isinstance(prior, Joint):
        return prior.from_noise(jnp.asarray(temperature) * prior.to_noise(z))
    return prior.mean + temperature * (z - prior.mean)


def between(
    model: Model,
    variables: Params,
    ends: jax.Array,
    num_points: int,
    label: Array | None,
    moves: Sequence[bool] | None = None,
) -> jax.Array:
    """Returns codes [num_points, D] on the line between two `ends` [2, D] with labels
    [2], of which the groups that `moves` says go (None: all); those below follow. On
    the sphere it is the arc."""
    start, end = ends
    goes = of_dimensions("moves", 1 if moves is None else moves, model.group_sizes)
    if model.space == SPHERE:  # has one group
        return spherical(start, end if goes[0] else start, num_points)
    prior: Any = model.apply(variables, label, method="prior_of")
    if not isinstance(prior, Joint):
        return linear(start, jnp.where(goes > 0, end, start), num_points)
    start, end = prior.to_noise(ends)
    points = linear(start, jnp.where(goes > 0, end, start), num_points)
    if label is not None:
        label = jnp.broadcast_to(label[0], num_points)
        prior = model.apply(variables, label, method="prior_of")
    return prior.from_noise(points)

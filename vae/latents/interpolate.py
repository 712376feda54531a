"""Curves from one code to another: straight, on a sphere, shortest in image space.

All begin and end exactly at the given codes; `num_points`, at least 2, counts both.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vae.types import Array

MOST_ITERATIONS = 200  # of L-BFGS
LEAST_GAIN = 1e-6  # share of the energy below which an iteration is the last


def linear(start: Array, end: Array, num_points: int) -> jax.Array:
    """Returns evenly spaced points [num_points, ..., D] of the straight line from
    `start` [..., D] to `end` [..., D]."""
    return jnp.linspace(start, end, num_points)


def spherical(start: Array, end: Array, num_points: int) -> jax.Array:
    """Returns points [num_points, ..., D] from `start` [..., D] to `end` [..., D] whose
    direction turns by equal angles while their norm changes by equal steps.

    Between opposite directions no arc is shortest: theirs passes through the axis that
    is closest to a right angle with both. A code 0 takes the direction of the other.

    References:
      White 2016, arXiv 1609.04468, sec. 2.1, with which this agrees for codes of equal
      norms; for others the paper's formula follows an ellipse.
    """
    norms = _norm(start), _norm(end)
    first, last = start / _nonzero(norms[0]), end / _nonzero(norms[1])
    first = jnp.where(norms[0] > 0, first, last)
    last = jnp.where(norms[1] > 0, last, first)
    middle, chord = _frame(first, last)
    # Unlike the arc cosine, this is precise at all angles.
    angle = 2 * jnp.arctan2(_norm(last - first), _norm(last + first))
    turned = linear(-angle / 2, angle / 2, num_points)
    directions = jnp.cos(turned) * middle + jnp.sin(turned) * chord
    points = linear(*norms, num_points) * directions
    return points.at[0].set(start).at[-1].set(end)


def _frame(first: jax.Array, last: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns unit vectors at right angles, both [..., D], of the arc between two unit
    vectors: to its middle, and along its chord (0 for an arc of no length)."""
    chord = (last - first) / _nonzero(_norm(last - first))
    total = first + last
    axis = jax.nn.one_hot(jnp.abs(chord).argmin(-1), chord.shape[-1], dtype=chord.dtype)
    axis -= (axis * chord).sum(-1, keepdims=True) * chord
    # What is left of the sum of opposite vectors is rounding.
    opposite = _norm(total) < jnp.finfo(total.dtype).eps ** 0.5
    middle = jnp.where(opposite, axis, total)
    return middle / _nonzero(_norm(middle)), chord


def _norm(z: Array) -> jax.Array:
    return jnp.linalg.norm(z, axis=-1, keepdims=True)


def _nonzero(norm: jax.Array) -> jax.Array:
    return jnp.where(norm > 0, norm, 1)


def curve_energy(
    decode: Callable[[jax.Array], jax.Array], points: jax.Array
) -> jax.Array:
    """Returns the sum of the squared Euclidean distances between the images of points
    [P, D] that follow each other. It is at least the squared length over P - 1, and
    just that if all these distances are equal."""
    return _squared_distances(decode, points).sum()


def curve_length(
    decode: Callable[[jax.Array], jax.Array], points: jax.Array
) -> jax.Array:
    """Returns the sum of the Euclidean distances between the images of points [P, D]
    that follow each other: the curve's length in image space, from below."""
    return jnp.sqrt(_squared_distances(decode, points)).sum()


def _squared_distances(
    decode: Callable[[jax.Array], jax.Array], points: jax.Array
) -> jax.Array:
    """Returns [P - 1]."""
    images = decode(points).astype(points.dtype)  # which may be of bfloat16
    return (jnp.diff(images, axis=0) ** 2).reshape(len(points) - 1, -1).sum(axis=1)


class Geodesic(NamedTuple):
    """A shortest curve, and what was gained over the straight line."""

    points: jax.Array  # [P, D]
    energy: jax.Array  # [], see `curve_energy`
    straight_energy: jax.Array  # [], of the straight line; never less than `energy`


class _Search(NamedTuple):
    """The best curve so far, and what the next iteration needs."""

    shifts: jax.Array  # [P - 1, D], of the steps from point to point
    energy: jax.Array  # []
    gain: jax.Array  # [], by how much the last iteration lowered it
    count: jax.Array  # [], iterations done
    optimizer: Any


def geodesic(
    decode: Callable[[jax.Array], jax.Array], start: Array, end: Array, num_points: int
) -> Geodesic:
    """Finds the shortest curve from `start` [D] to `end` [D] under the metric that the
    mean images pull back to the latent space: the points of the least `curve_energy`,
    by L-BFGS from the straight line, compiled.

    The minimum is a local one. Images between the points are not looked at, so a few
    points may jump over what many would have to go around. For several pairs use
    `jax.vmap`. Each call compiles anew unless it is itself inside `jax.jit`.

    References:
      Shao et al. 2018, arXiv 1711.08014, alg. 1; Chen et al. 2018, arXiv 1711.01204;
      Arvanitidis et al. 2018, arXiv 1710.11379, for the geometry.
    """

    def curve(straight: jax.Array, shifts: jax.Array) -> jax.Array:
        # In the points themselves the problem is the stiffer the more there are. In the
        # steps between them it is not: 64 points of a random network need 60 iterations
        # instead of more than 200.
        shifts = shifts - shifts.mean(axis=0)
        return straight.at[1:-1].add(jnp.cumsum(shifts, axis=0)[:-1])

    @jax.jit
    def search(start: jax.Array, end: jax.Array) -> Geodesic:
        straight = linear(start, end, num_points)
        found, straight_energy = _minimize(
            lambda shifts: curve_energy(decode, curve(straight, shifts)),
            jnp.zeros_like(straight[1:]),
        )
        return Geodesic(curve(straight, found.shifts), found.energy, straight_energy)

    return search(jnp.asarray(start), jnp.asarray(end))


def _minimize(
    energy: Callable[[jax.Array], jax.Array], shifts: jax.Array
) -> tuple[_Search, jax.Array]:
    """Lowers the energy until an iteration gains next to nothing; also returns the
    energy at the start, above which it never goes."""
    optimizer: Any = optax.lbfgs()
    value_and_gradient = optax.value_and_grad_from_state(energy)

    def gains(search: _Search) -> jax.Array:
        enough = search.gain > LEAST_GAIN * search.energy
        return enough & (search.count < MOST_ITERATIONS)

    def iterate(search: _Search) -> _Search:
        value, gradient = value_and_gradient(search.shifts, state=search.optimizer)
        updates, state = optimizer.update(
            gradient,
            search.optimizer,
            search.shifts,
            value=value,
            grad=gradient,
            value_fn=energy,
        )
        lowered = optax.tree.get(state, "value")
        gain = search.energy - lowered
        shifts = jnp.where(gain > 0, search.shifts + updates, search.shifts)
        lowered = jnp.where(gain > 0, lowered, search.energy)
        return _Search(shifts, lowered, gain, search.count + 1, state)

    at_start = energy(shifts)
    gain = jnp.full_like(at_start, jnp.inf)
    first = _Search(shifts, at_start, gain, jnp.array(0), optimizer.init(shifts))
    return jax.lax.while_loop(gains, iterate, first), at_start

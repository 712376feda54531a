"""Where a program runs: one device or several, by sharded `jit` or by `pmap`.

The train step is a function of one run and the global batch; `over_runs` maps it over
the runs of a population. Several devices share the examples of a run, or the runs of a
population. Under `jit` arrays are sharded along that axis and XLA does the rest. Under
`pmap` each device runs the step on its examples, and the step averages over `AXIS`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from vae.training.state import (
    Carry,
    Totals,
    TrainState,
    map_runs,
    stack_runs,
)
from vae.training.step import TrainCall
from vae.types import UserError

AXIS = "batch"
MODES = ("auto", "jit", "pmap")
# Which arrays of a population's carry each run has of its own, as axes of `vmap`.
_SAME: Any = None
_EACH: Any = 0
OWN: Any = TrainState(_SAME, *[_EACH] * 4), Totals(_SAME, *[_EACH] * 2)


class Placement(NamedTuple):
    """The devices of a run and how the program is spread over them."""

    mesh: jax.sharding.Mesh
    use_pmap: bool = False
    of_runs: bool = False  # devices share runs, not the examples of one

    @property
    def num_devices(self) -> int:
        return self.mesh.size

    @property
    def axis_name(self) -> str | None:
        """The axis over which the step must average by itself."""
        return AXIS if self.use_pmap else None

    def over(self, *axes: str) -> NamedSharding:
        """Shards arrays whose leading axes are "run" [M], "step" [S] or "example" [B],
        in that order, along the axis that the devices share; the rest is the same on
        all devices."""
        shared = "run" if self.of_runs else "example"
        spec = [AXIS if axis == shared else None for axis in axes]
        return NamedSharding(self.mesh, PartitionSpec(*spec))

    @property
    def replicated(self) -> NamedSharding:
        return self.over()

    @property
    def chunk(self) -> NamedSharding:
        """Shards [M, S, B, ...]; under `pmap`, devices take their parts themselves."""
        return self.over(*([] if self.use_pmap else ["run", "step", "example"]))

    @property
    def of_carry(self) -> Carry:
        """Shards a population."""
        same: Any = self.replicated
        own: Any = self.over("run")
        return TrainState(same, *[own] * 4), Totals(same, *[own] * 2)

    def place(self, runs: Sequence[Carry]) -> Carry:
        """Returns the population of runs at the same step, on the devices."""
        return jax.device_put(stack_runs(runs), self.of_carry)

    def describe(self, run: Carry, size: int) -> Carry:
        """Returns the shapes of a population of `size` runs like this one."""
        sharding = self.over("run")

        def shape_of(array: jax.Array) -> Any:
            shape = (size, *array.shape)
            return jax.ShapeDtypeStruct(shape, array.dtype, sharding=sharding)

        return map_runs(shape_of, run)

    def positions(self, batch_size: int) -> jax.Array:
        """Returns the examples' places in the global batch: [B], or [devices, B /
        devices] under `pmap`."""
        positions = np.arange(batch_size, dtype=np.int32)
        if self.use_pmap:
            return jnp.asarray(positions.reshape(self.num_devices, -1))
        return jax.device_put(positions, self.over("example"))


def make_placement(mode: str, num_devices: int, batch_size: int) -> Placement:
    """Chooses `num_devices` devices (0: all) for batches of `batch_size`.

    Raises:
      UserError: there are fewer devices, or they do not divide the batch.
    """
    devices = _choose_devices(num_devices)
    if mode == "pmap" and jax.process_count() > 1:
        raise UserError("runtime.parallel=pmap runs on one host; use jit")
    if batch_size % len(devices):
        raise UserError(
            f"dataset.batch_size={batch_size} cannot be divided among {len(devices)} "
            f"devices; make it a multiple of {len(devices)} or set runtime.num_devices"
        )
    return Placement(_make_mesh(devices), use_pmap=mode == "pmap")


def one_per_device(num_devices: int) -> list[Placement]:
    """Returns a placement on each of `num_devices` devices (0: all)."""
    return [Placement(_make_mesh([d])) for d in _choose_devices(num_devices)]


def runs_over_devices(num_devices: int) -> Placement:
    """Returns the placement of runs that `num_devices` devices (0: all) share."""
    return Placement(_make_mesh(_choose_devices(num_devices)), of_runs=True)


def _choose_devices(num_devices: int) -> list[Any]:
    devices = jax.devices()
    if num_devices > len(devices):
        raise UserError(
            f"runtime.num_devices={num_devices} but there are {len(devices)} "
            f"({devices[0].platform}); ask for at most {len(devices)} (on CPU, "
            "JAX_NUM_CPU_DEVICES=N simulates N)"
        )
    return devices[: num_devices or None]


def _make_mesh(devices: list[Any]) -> jax.sharding.Mesh:
    return jax.make_mesh(
        (len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices
    )


def over_runs(function: Callable[..., Any], in_axes: Any, out_axes: Any = 0) -> Any:
    """Maps a function of one run over the runs of a population.

    Args:
      function: of one run.
      in_axes: for each argument, as for `jax.vmap`: a prefix of its tree with 0 where
        arrays are [M, ...] and None where all runs have the same.
      out_axes: the same for the result.

    Returns:
      The mapped function. Of a population of one it is the function itself, bit for
      bit.
    """

    @functools.wraps(function)
    def mapped(*arguments: Any) -> Any:
        sizes: set[int] = set()
        _map_axes(in_axes, lambda array, axis: sizes.add(array.shape[axis]), arguments)
        if sizes != {1}:
            return jax.vmap(function, in_axes, out_axes)(*arguments)
        own = _map_axes(in_axes, jnp.squeeze, arguments)
        return _map_axes(out_axes, jnp.expand_dims, function(*own))

    return mapped


def _map_axes(axes: Any, function: Callable[[Any, int], Any], tree: Any) -> Any:
    """Maps arrays and their axes, but those whose axis is None."""

    def is_none(value: Any) -> bool:
        return value is None

    return jax.tree.map(
        lambda axis, leaf: (
            leaf if axis is None or leaf is None else function(leaf, axis)
        ),
        jax.tree.broadcast(axes, tree, is_leaf=is_none),
        tree,
        is_leaf=is_none,
    )


def compile_call(call: TrainCall, placement: Placement, *, resident: bool) -> TrainCall:
    """Compiles a train call of a population for its devices; the carry is donated.

    The runs share the step: a step of each its own would turn the loops and conditions
    on it into computing both branches.
    """
    if placement.use_pmap and not resident:
        call = _take_own_part(call)
    data_axis = None if resident else 0
    call = over_runs(call, (OWN, data_axis, None, None), OWN)
    if placement.use_pmap:
        return jax.pmap(
            call,
            axis_name=AXIS,
            in_axes=(None, None, 0, None),
            out_axes=None,
            donate_argnums=0,
            devices=list(placement.mesh.devices),
        )
    # What is computed on one device stays there, whichever it is.
    options: dict[str, Any] = {}
    if placement.num_devices > 1:
        options["out_shardings"] = placement.of_carry
    return jax.jit(call, donate_argnums=0, **options)


def _take_own_part(call: TrainCall) -> TrainCall:
    """Gives each device of a `pmap` its examples of a chunk [S, B, ...]."""

    def part_call(carry, data, positions, num_steps):
        part = jax.tree.map(lambda array: jnp.take(array, positions, axis=1), data)
        return call(carry, part, positions, num_steps)

    return part_call

"""Where a program runs: one device or several, by sharded `jit` or by `pmap`.

The train step is one function of the global batch. Under `jit` its arrays are sharded
along the batch and XLA does the rest; under `pmap` each device runs the step on its
part, and the step averages over the axis `AXIS`. State and data are the same on all
devices and leave the program unreplicated.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from vae.training.state import Totals, TrainState
from vae.training.step import TrainCall
from vae.types import UserError

AXIS = "batch"
MODES = ("auto", "jit", "pmap")


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

    @property
    def replicated(self) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def by_example(self) -> NamedSharding:
        """Shards the leading axis, unless devices share runs."""
        spec = PartitionSpec() if self.of_runs else PartitionSpec(AXIS)
        return NamedSharding(self.mesh, spec)

    @property
    def chunk(self) -> NamedSharding:
        """Shards the second axis of [S, B, ...], or nothing under `pmap` or if devices
        share runs."""
        whole = self.use_pmap or self.of_runs
        spec = PartitionSpec() if whole else PartitionSpec(None, AXIS)
        return NamedSharding(self.mesh, spec)

    def positions(self, batch_size: int) -> jax.Array:
        """Returns the examples' places in the global batch: [B], or [devices, B /
        devices] under `pmap`."""
        positions = np.arange(batch_size, dtype=np.int32)
        if self.use_pmap:
            return jnp.asarray(positions.reshape(self.num_devices, -1))
        return jax.device_put(positions, self.by_example)


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


class Routine(NamedTuple):
    """A function of a run, compiled for one run and for several together."""

    alone: Callable[..., Any]  # (*own, *shared) -> result
    # Jitted: (all runs' first of own, a tuple of all runs' for each other, *shared)
    # -> all runs' results
    together: Any


def make_routine(
    function: Callable[..., Any],
    placement: Placement,
    *,
    own_axes: tuple[Any, ...] = (0,),
    out_axes: Any = 0,
    donate: bool = False,
    alone: Callable[..., Any] | None = None,
) -> Routine:
    """Compiles a pure function (*own, *shared) -> result.

    Args:
      function: see above.
      placement: whose devices hold the arguments (if it is one, any one may); runs
        together are spread over them.
      own_axes: for each of `own`, 0, or a prefix of its tree with None where all runs
        that are computed together have the same.
      out_axes: the same for the result.
      donate: whether the first argument may be overwritten.
      alone: the compiled function for one run, if it is not plainly jitted.
    """
    by_run = NamedSharding(placement.mesh, PartitionSpec(AXIS))

    def run_together(first: tuple[Any, ...], rest: tuple[Any, ...], *shared: Any):
        def stack(*parts: jax.Array) -> jax.Array:
            return jax.lax.with_sharding_constraint(jnp.stack(parts), by_run)

        stacked = [
            _map_axis(axes, stack, *runs)
            for axes, runs in zip(own_axes, (first, *rest), strict=True)
        ]
        in_axes = (*own_axes, *[None] * len(shared))
        result = jax.vmap(function, in_axes, out_axes)(*stacked, *shared)
        return tuple(
            _map_axis(out_axes, lambda part, run=run: part[run], result)
            for run in range(len(first))
        )

    # What is computed on one device stays there, whichever it is.
    options: dict[str, Any] = {}
    if placement.num_devices > 1:
        options["out_shardings"] = placement.replicated
    if donate:
        options["donate_argnums"] = 0
    return Routine(
        alone=jax.jit(function, **options) if alone is None else alone,
        together=jax.jit(run_together, **options),
    )


def _map_axis(axes: Any, function: Callable[..., Any], *trees: Any) -> Any:
    """Maps the leaves of trees; where their axis is None, takes the first tree's."""

    def is_none(value: Any) -> bool:
        return value is None

    return jax.tree.map(
        lambda axis, *parts: parts[0] if axis is None else function(*parts),
        jax.tree.broadcast(axes, trees[0], is_leaf=is_none),
        *trees,
        is_leaf=is_none,
    )


def compile_call(call: TrainCall, placement: Placement, *, resident: bool) -> Routine:
    """Compiles a train call for its devices; the carry is donated.

    Of runs together the step is one: a step of each its own would turn the loops and
    conditions on it into computing both branches.
    """
    own: Any = 0
    same: Any = None
    carry_axes = TrainState(same, own, own, own, own), Totals(same, own, own)
    alone = None
    if placement.use_pmap:
        call = call if resident else _take_own_part(call)
        alone = jax.pmap(
            call,
            axis_name=AXIS,
            in_axes=(None, None, 0, None),
            out_axes=None,
            donate_argnums=0,
            devices=list(placement.mesh.devices),
        )
    own_axes = (carry_axes,) if resident else (carry_axes, 0)
    return make_routine(
        call,
        placement,
        own_axes=own_axes,
        out_axes=carry_axes,
        donate=True,
        alone=alone,
    )


def _take_own_part(call: TrainCall) -> TrainCall:
    """Gives each device of a `pmap` its examples of a chunk [S, B, ...]."""

    def part_call(carry, data, positions, num_steps):
        part = jax.tree.map(lambda array: jnp.take(array, positions, axis=1), data)
        return call(carry, part, positions, num_steps)

    return part_call

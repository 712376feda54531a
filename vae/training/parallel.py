"""Where a program runs: one device or several, by sharded `jit` or by `pmap`.

The train step is one function of the global batch. Under `jit` its arrays are sharded
along the batch and XLA does the rest; under `pmap` each device runs the step on its
part, and the step averages over the axis `AXIS`. State and data are the same on all
devices and leave the program unreplicated.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from vae.training.step import TrainCall
from vae.types import UserError

AXIS = "batch"
MODES = ("auto", "jit", "pmap")


class Placement(NamedTuple):
    """The devices of a run and how the program is spread over them."""

    mesh: jax.sharding.Mesh
    use_pmap: bool

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
        """Shards the leading axis."""
        return NamedSharding(self.mesh, PartitionSpec(AXIS))

    @property
    def chunk(self) -> NamedSharding:
        """Shards the second axis of [S, B, ...], or nothing under `pmap`."""
        spec = PartitionSpec() if self.use_pmap else PartitionSpec(None, AXIS)
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
    devices = jax.devices()
    if num_devices > len(devices):
        raise UserError(
            f"num_devices={num_devices} but there are {len(devices)} "
            f"({devices[0].platform}); ask for at most {len(devices)} (on CPU, "
            "JAX_NUM_CPU_DEVICES=N simulates N)"
        )
    if mode == "pmap" and jax.process_count() > 1:
        raise UserError("parallel=pmap runs on one host; use parallel=jit")
    devices = devices[: num_devices or None]
    if batch_size % len(devices):
        raise UserError(
            f"dataset.batch_size={batch_size} cannot be divided among {len(devices)} "
            f"devices; make it a multiple of {len(devices)} or set num_devices"
        )
    mesh = jax.make_mesh(
        (len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices
    )
    return Placement(mesh, use_pmap=mode == "pmap")


def compile_call(call: TrainCall, placement: Placement, *, resident: bool) -> Any:
    """Compiles a train call for its devices; the carry is donated."""
    if placement.use_pmap:
        call = call if resident else _take_own_part(call)
        return jax.pmap(
            call,
            axis_name=AXIS,
            in_axes=(None, None, 0, None),
            out_axes=None,
            donate_argnums=0,
            devices=list(placement.mesh.devices),
        )
    return jax.jit(call, donate_argnums=0, out_shardings=placement.replicated)


def _take_own_part(call: TrainCall) -> TrainCall:
    """Gives each device of a `pmap` its examples of a chunk [S, B, ...]."""

    def part_call(carry, data, positions, num_steps):
        part = jax.tree.map(lambda array: jnp.take(array, positions, axis=1), data)
        return call(carry, part, positions, num_steps)

    return part_call

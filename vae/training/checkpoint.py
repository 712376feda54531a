"""Checkpoints of a run, by Orbax: written behind the training thread's back, verified
when read."""

import logging
import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp


class Restored(NamedTuple):
    """A checkpoint that was read and found whole."""

    step: int
    tree: Any  # as the target given to `restore`
    info: dict[str, Any]  # as given to `save`


class SaveError(Exception):
    """A checkpoint could not be written; the earlier ones are intact."""


class DamagedError(Exception):
    """The bytes read are not the bytes that were written."""


class Checkpointer:
    """Saves and restores one pytree of arrays and a small dictionary per step."""

    def __init__(self, workdir: Path, *, keep: int = 3):
        self._workdir = workdir
        self._manager = ocp.CheckpointManager(
            (workdir / "checkpoints").absolute(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep, cleanup_tmp_directories=True
            ),
        )

    def save(self, step: int, tree: Any, info: dict[str, Any]) -> None:
        """Copies `tree` and returns; the writing goes on in the background.

        Raises:
          SaveError: this checkpoint, or the one before, could not be written.
        """
        info = {**info, "crc32": _crc32(tree)}
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(tree), info=ocp.args.JsonSave(info)
        )
        self._guard(lambda: self._manager.save(step, args=arguments))

    def wait(self) -> None:
        """Returns when everything saved is on disk.

        Raises:
          SaveError: it could not be written.
        """
        self._guard(self._manager.wait_until_finished)

    def _guard(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # Orbax raises OSError, ValueError and others
            raise SaveError(
                f"a checkpoint was not written to {self._workdir}/checkpoints "
                f"({_reason(error)}); whole ones there: {self.steps()}; make room, and "
                "launch the same command again to continue"
            ) from error

    def steps(self) -> list[int]:
        """Returns the steps whose checkpoints are complete on disk, oldest first."""
        names = [p.name for p in (self._workdir / "checkpoints").glob("*")]
        return sorted(int(name) for name in names if name.isdigit())

    def restore(self, target: Any) -> Restored | None:
        """Reads the newest whole checkpoint, or returns None if there is none.

        Damaged ones are told of, set aside and passed over.

        Args:
          target: a pytree of arrays, or of `jax.ShapeDtypeStruct` with shardings; the
            arrays come back placed like it, whatever devices wrote them.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        arguments = ocp.args.Composite(
            state=ocp.args.StandardRestore(abstract), info=ocp.args.JsonRestore()
        )
        for step in reversed(self._manager.all_steps()):
            try:
                read = self._manager.restore(step, args=arguments)
                if _crc32(read["state"]) != read["info"].pop("crc32"):
                    raise DamagedError("checksum mismatch")
                return Restored(step, read["state"], read["info"])
            except Exception as error:  # any failure to read means the next older one
                self._set_aside(step, error)
        return None

    def _set_aside(self, step: int, error: Exception) -> None:
        aside = self._workdir / f"damaged_checkpoint_{step}"
        logging.warning(
            "the checkpoint of step %d is damaged (%s); moved to %s, falling back to "
            "the one before",
            step,
            _reason(error),
            aside,
        )
        if jax.process_index() == 0:
            (self._workdir / "checkpoints" / str(step)).rename(aside)
        self._manager.reload()

    def close(self) -> None:
        self._manager.close()


def _reason(error: Exception) -> str:
    """Returns what the operating system said, if it said it, or the error's start."""
    if code := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(code[1]))
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _crc32(tree: Any) -> int:
    """Returns a checksum of the bytes of all arrays, in the order of the leaves."""
    checksum = 0
    for leaf in jax.device_get(jax.tree.leaves(tree)):
        checksum = zlib.crc32(np.asarray(leaf).tobytes(), checksum)
    return checksum

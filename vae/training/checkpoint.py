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
from jax.experimental import multihost_utils

from vae.types import UserError


class Restored(NamedTuple):
    """A checkpoint that was read and found whole."""

    step: int
    tree: Any  # as the target given to `restore`
    info: dict[str, Any]  # as given to `save`


class SaveError(Exception):
    """A checkpoint could not be written; the earlier ones are intact."""


class DamagedError(Exception):
    """The bytes read are not the bytes that were written."""


def saved_steps(workdir: Path) -> list[int]:
    """Returns the steps whose checkpoints are complete on disk, oldest first."""
    names = [path.name for path in (workdir / "checkpoints").glob("*")]
    return sorted(int(name) for name in names if name.isdigit())


class Checkpointer:
    """Saves and restores one pytree of arrays and a small dictionary per step."""

    def __init__(self, workdir: Path, *, keep: int = 3):
        self._workdir = workdir
        self._manager = ocp.CheckpointManager(
            (workdir / "checkpoints").absolute(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep,
                cleanup_tmp_directories=True,
                # Made in the background they are told of by names that are unique
                # only if one thread of the process saves at a time.
                async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
            ),
        )

    def save(self, step: int, tree: Any, info: dict[str, Any]) -> None:
        """Copies `tree` and returns; the writing goes on in the background.

        Raises:
          SaveError: this checkpoint, or the one before, could not be written.
        """
        info = {**info, "crc32": _crc32(tree), "leaves": _describe_leaves(tree)}
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(tree), info=ocp.args.JsonSave(info)
        )
        if not self._guard(lambda: self._manager.save(step, args=arguments)):
            raise SaveError(f"Orbax refused to save step {step} in {self._workdir}")

    def wait(self) -> None:
        """Returns when everything saved is on disk.

        Raises:
          SaveError: it could not be written.
        """
        self._guard(self._manager.wait_until_finished)

    def _guard(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # Orbax raises OSError, ValueError and others
            raise SaveError(
                f"a checkpoint was not written to {self._workdir}/checkpoints "
                f"({_reason(error)}); whole ones there: {self.steps()}; make room, and "
                "launch the same command again to continue"
            ) from error

    def steps(self) -> list[int]:
        """Returns `saved_steps` of this workdir."""
        return saved_steps(self._workdir)

    def restore(self, target: Any) -> Restored | None:
        """Reads the newest whole checkpoint, or returns None if there is none at all.

        Damaged ones newer than that are told of and set aside.

        Args:
          target: a pytree of arrays, whose shapes, types and placement the result
            takes, whatever devices wrote it.

        Raises:
          UserError: there are checkpoints, but of another structure, or none whole.
        """
        damaged: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = self._read(step, target)
            except UserError:
                raise
            except Exception as error:  # Orbax and TensorStore raise all kinds
                damaged[step] = _reason(error)
                continue
            self._set_aside(damaged)
            return restored
        if damaged:
            raise UserError(
                f"no checkpoint in {self._workdir}/checkpoints can be read "
                f"({damaged}); restore the files, or choose another workdir"
            )
        return None

    def _read(self, step: int, target: Any) -> Restored:
        arguments = ocp.args.Composite(info=ocp.args.JsonRestore())
        info = self._manager.restore(step, args=arguments)["info"]
        if info.pop("leaves") != _describe_leaves(target):
            raise UserError(
                f"the checkpoints in {self._workdir} were written by another version "
                "of this code (their arrays differ); choose another workdir"
            )
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        tree = self._manager.restore(step, args=arguments)["state"]
        if _crc32(tree) != info.pop("crc32"):
            raise DamagedError("checksum mismatch")
        return Restored(step, tree, info)

    def _set_aside(self, damaged: dict[int, str]) -> None:
        for step, reason in damaged.items():
            aside = self._workdir / f"damaged_checkpoint_{step}"
            while aside.exists():
                aside = aside.with_name(f"{aside.name}_again")
            logging.warning(
                "the checkpoint of step %d is damaged (%s); moved to %s, falling back "
                "to the one before",
                step,
                reason,
                aside,
            )
            if jax.process_index() == 0:
                (self._workdir / "checkpoints" / str(step)).rename(aside)
        if damaged:
            if jax.process_count() > 1:
                multihost_utils.sync_global_devices("damaged checkpoints set aside")
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
        flat = np.ascontiguousarray(leaf).reshape(-1)
        checksum = zlib.crc32(flat.view(np.uint8).data, checksum)
    return checksum


def _describe_leaves(tree: Any) -> dict[str, str]:
    """Returns the type and shape of every array, by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(p): f"{x.dtype}{list(x.shape)}" for p, x in leaves}

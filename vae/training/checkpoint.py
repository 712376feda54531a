"""Checkpoints of a run, by Orbax: written in the background, verified when read."""

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
    """Saves and restores one pytree of arrays and a small dictionary per step.

    Args:
      workdir: of the run.
      keep: how many checkpoints; older ones are deleted.
      reads_only: whether it leaves the folder as it is, in which another process may
        be saving. Otherwise what a killed process left half written is deleted, and
        damaged checkpoints are set aside: the caller must hold the folder's lock.
    """

    def __init__(self, workdir: Path, *, keep: int = 3, reads_only: bool = False):
        self._workdir, self._reads_only = workdir, reads_only
        self._manager = ocp.CheckpointManager(
            (workdir / "checkpoints").absolute(),
            item_handlers={
                "state": ocp.StandardCheckpointHandler(),
                "info": ocp.JsonCheckpointHandler(),
            },
            options=ocp.CheckpointManagerOptions(
                create=not reads_only,
                max_to_keep=None if reads_only else keep,
                cleanup_tmp_directories=not reads_only,
                # Orbax names its barriers for the whole process: they collide if two
                # threads create folders at once.
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

    def restore(
        self, target: Any, is_essential: Callable[[str], bool] = lambda name: True
    ) -> Restored | None:
        """Reads the newest whole checkpoint, or returns None if there are none.

        Damaged checkpoints newer than that one are logged, and set aside unless this
        `reads_only`.

        Args:
          target: a pytree of arrays. The result has its structure, shapes, types and
            placement, whatever devices wrote the checkpoint.
          is_essential: takes the name of an array, such as "0.params.model.prior". An
            essential array must be in both the checkpoint and the target. Any other
            keeps the target's value if the checkpoint lacks it or has it in another
            shape, and is ignored if the target lacks it.

        Raises:
          UserError: the essential arrays differ, or every checkpoint is damaged.
        """
        damaged: dict[int, str] = {}
        if not self.steps():
            return None
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = self._read(step, target, is_essential)
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

    def _read(
        self, step: int, target: Any, is_essential: Callable[[str], bool]
    ) -> Restored:
        arguments = ocp.args.Composite(info=ocp.args.JsonRestore())
        info = self._manager.restore(step, args=arguments)["info"]
        saved = {_dotted(name): kind for name, kind in info.pop("leaves").items()}
        wanted = _describe_leaves(target)
        differing = {
            name
            for name in {*saved, *wanted}
            if is_essential(name) and saved.get(name) != wanted.get(name)
        }
        if differing:
            raise UserError(
                f"the checkpoints in {self._workdir} are of another model or optimizer "
                f"({len(differing)} arrays differ, such as {min(differing)}); choose "
                "another workdir"
            )
        arrays = self._read_arrays(step, target)
        if _crc32([arrays[name] for name in saved]) != info.pop("crc32"):
            raise DamagedError("checksum mismatch")
        kept = {name for name in wanted if saved.get(name) == wanted[name]}
        tree = jax.tree_util.tree_map_with_path(
            lambda path, leaf: (
                arrays[name] if (name := name_of(path)) in kept else leaf
            ),
            target,
        )
        return Restored(step, tree, info)

    def _read_arrays(self, step: int, target: Any) -> dict[str, Any]:
        """Returns every array of a checkpoint by its name, those of the target placed
        as there."""
        placed = {
            name_of(path): leaf.sharding
            for path, leaf in jax.tree_util.tree_leaves_with_path(target)
        }
        anywhere = next(iter(placed.values()))
        saved: Any = self._manager.item_metadata(step)["state"].tree
        abstract = jax.tree_util.tree_map_with_path(
            lambda path, meta: jax.ShapeDtypeStruct(
                meta.shape, meta.dtype, sharding=placed.get(name_of(path), anywhere)
            ),
            saved,
        )
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        tree = self._manager.restore(step, args=arguments)["state"]
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {name_of(path): leaf for path, leaf in leaves}

    def _set_aside(self, damaged: dict[int, str]) -> None:
        for step, reason in damaged.items():
            if self._reads_only:
                logging.warning(
                    "the checkpoint of step %d is damaged (%s): reading the one before",
                    step,
                    reason,
                )
                continue
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
        if damaged and not self._reads_only:
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
    """Returns the type and shape of every array, by its name."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {name_of(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


def name_of(path: tuple[Any, ...]) -> str:
    """Returns the name of an array, such as "0.params.model.prior", which is the same
    for a NamedTuple and for what Orbax reads in its place."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _dotted(name: str) -> str:
    """Returns a name as `_name` gives it; early checkpoints have "[0].params['a']"."""
    return re.sub(r"\['?([^'\]]*)'?\]", r".\1", name).removeprefix(".")

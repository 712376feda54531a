"""The folder of a run: what lies in it, and whether a launch may use it."""

import csv
import fcntl
import functools
import io
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from configs import default
from vae.build import HOW_NOT_WHAT, Config, from_operative, operative
from vae.types import UserError

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpyro", "numpy")


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns {"a.b": value} of a nested configuration."""
    flat = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def config_of(workdir: Path) -> Config:
    """Returns the configuration of the run there.

    Raises:
      UserError: there is none.
    """
    held = _held(workdir)
    if held is None:
        raise UserError(f"--workdir={workdir} holds no run (no config.json)")
    return from_operative(held)


def with_data(config: Config, data: str | None) -> Config:
    """Returns the configuration with other data, named as in `dataset.name`, if there
    are any."""
    if data is None:
        return config
    changed = config.copy_and_resolve_references()
    changed.dataset.name = data
    return changed


def _held(workdir: Path) -> dict[str, Any] | None:
    """Returns the configuration of the run there, if there is one. A field that is
    newer than the run has its default, by which all is as it was without the field."""
    held = read_json(workdir / "config.json")
    return held and _filled_up(held, operative(default.get_config()))


def _filled_up(held: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Adds to a nested configuration what only `defaults` has."""
    return {
        **defaults,
        **{
            key: _filled_up(value, defaults.get(key, {}))
            if isinstance(value, dict)
            else value
            for key, value in held.items()
        },
    }


def check(workdir: Path, config: dict[str, Any], data_hash: str) -> None:
    """Refuses a workdir that cannot be written or holds another run; writes nothing.

    Raises:
      UserError: says which fields differ, or what is in the way.
    """
    existing = workdir
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"--workdir={workdir}: cannot write in {existing}")
    held = _held(workdir)
    if held is None:
        if (workdir / "checkpoints").exists():
            raise UserError(
                f"--workdir={workdir} holds checkpoints but no config.json; choose "
                "another workdir"
            )
        return
    if not any((workdir / "checkpoints").glob("[0-9]*")):
        return  # nothing there is worth keeping
    before, now = flatten(held), flatten(config)
    fields = [
        f"{field}: {before.get(field, 'absent')} there, {now.get(field, 'absent')} now"
        for field in sorted({*before, *now})
        if before.get(field, "absent") != now.get(field, "absent")
        and field not in HOW_NOT_WHAT
        and not field.startswith("evaluate.")
    ]
    if fields:
        raise UserError(
            f"--workdir={workdir} holds a run of another config ({'; '.join(fields)}); "
            "choose another workdir"
        )
    provenance = read_json(workdir / "provenance.json")
    if provenance and provenance["data_sha256"] != data_hash:
        raise UserError(
            f"--workdir={workdir} was trained on other data under the same name "
            f"(SHA-256 {provenance['data_sha256'][:12]} there, {data_hash[:12]} now); "
            "choose another workdir"
        )


@contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Creates the workdir and holds it; on several hosts the first process does.

    Raises:
      UserError: another process holds it, or it cannot be created.
    """
    if jax.process_index() != 0:
        yield
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--workdir={workdir}: {error}") from error
    with (workdir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"--workdir={workdir} is in use by another process; wait for it, or "
                "choose another workdir"
            ) from error
        yield


def describe(workdir: Path, config: dict[str, Any], data_hash: str) -> None:
    """Writes `config.json` and adds this launch to `provenance.json`; on several hosts
    the first process does."""
    if jax.process_index() != 0:
        return
    old = read_json(workdir / "provenance.json") or {"launches": []}
    provenance = {
        "data_sha256": data_hash,
        "launches": [*old["launches"], describe_launch(config)],
    }
    write_json(workdir / "provenance.json", provenance)
    write_json(workdir / "config.json", config)


def describe_launch(config: dict[str, Any]) -> dict[str, Any]:
    """Returns what else than configuration and data a result depends on."""
    devices = jax.devices()
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "device": f"{len(devices)} x {devices[0].device_kind}",
        "processes": jax.process_count(),
        "precision": config["precision"],
    }


def cores() -> int:
    """Returns how many cores of the processor this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Returns the name that the processor gives itself."""
    try:
        text = Path("/proc/cpuinfo").read_bytes().decode("utf-8", "replace")
    except OSError:
        return "unknown"
    lines = text.splitlines()
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else "unknown"


@functools.cache  # what a process runs is what it started with
def git_commit() -> str:
    """Returns the commit of this code, with "+changes" if Python files differ from it,
    new ones included."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words],
            cwd=Path(__file__).parent,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        ).stdout.strip()

    try:
        changes = git("-C", "..", "status", "--short", "--", "*.py")
        return git("rev-parse", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def short(commit: str) -> str:
    """Returns twelve digits of a commit, and whether code differed from it."""
    digits, plus, changes = commit.partition("+")
    return digits[:12] + plus + changes


def read_json(path: Path) -> Any:
    """Returns the contents of a JSON file, or None if there is none."""
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})") from error


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table, its header first, whole or not at all."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Writes a file in UTF-8, whole or not at all, in whichever locale. Names of files
    keep their bytes; of a name that is not UTF-8, bytes are written as in `\\xff`."""
    named = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(named.encode())
    partial.replace(path)

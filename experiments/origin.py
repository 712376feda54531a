"""What a result depends on besides configuration and data: code, packages, machine."""

import functools
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from experiments import environment

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpyro", "numpy")


def describe_launch(config: dict[str, Any]) -> dict[str, Any]:
    """Returns what else than configuration and data a result depends on."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "device": accelerator(),
        "machine": machine(),
        "processes": jax.process_count(),
        "deterministic": environment.is_deterministic(),
        "precision": config["precision"],
    }


def cores() -> int:
    """Returns how many cores of the processor this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> str:
    """Returns the cores that this process may use, and the devices beside them."""
    count = cores()
    here = f"{count} core{'s' if count > 1 else ''} of {processor()}"
    return here if jax.default_backend() == "cpu" else f"{here} and {accelerator()}"


def accelerator() -> str:
    """Returns how many devices JAX has, and of which kind."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}"


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
    new ones included; where it is installed, its version, as v0.2.0."""
    here = Path(__file__)

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words],
            cwd=here.parent,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # it may lie in another checkout
        changes = git("-C", "..", "status", "--short", "--", "*.py")
        return git("rev-parse", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return _version(here.parent)


def _version(folder: Path) -> str:
    """Returns the version of the package that is installed there, or "unknown"."""
    for installed in metadata.distributions(name="vae-jax"):
        if Path(str(installed.locate_file(folder.name))) == folder:
            return f"v{installed.version}"
    return "unknown"


def short(commit: str) -> str:
    """Returns twelve digits of a commit, and whether code differed from it."""
    digits, plus, changes = commit.partition("+")
    return digits[:12] + plus + changes

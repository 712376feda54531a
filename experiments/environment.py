"""The environment in which JAX starts: what is wrong with it, in one line, and how XLA
compiles.

Imports nothing that takes long.
"""

import hashlib
import os
import resource
import tempfile
from pathlib import Path

from experiments.hints import Refused

MOST_DEVICES = 1_024  # to simulate: each has threads of its own
DETERMINISTIC = "--xla_gpu_deterministic_ops"
SECONDS_TO_KEEP = 0.5  # of compilation: what took less is compiled again
LEAST_MEMORY = 5 * 2**29  # bytes of addresses that JAX needs to start and compile


def find_fault() -> str | None:
    """Imports JAX and says what in the environment keeps it from starting, if
    anything does."""
    os.environ["MPLBACKEND"] = "svg"  # pictures are only written to files
    _find_numba_a_cache()
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_MEMORY:
        return (
            f"this process may use {limit / 2**30:.1f} GiB of memory (ulimit -v); JAX "
            f"needs {LEAST_MEMORY / 2**30:.1f} GiB: raise the limit"
        )
    devices = os.environ.get("JAX_NUM_CPU_DEVICES", "1")
    if not devices.isdecimal() or not 1 <= int(devices) <= MOST_DEVICES:
        return (
            f"JAX_NUM_CPU_DEVICES={devices} must be a whole number from 1 to "
            f"{MOST_DEVICES}; correct it or unset it"
        )
    try:
        import jax  # noqa: F401
    except ValueError as error:
        return _explain_settings(error)
    return None


def set_compiler_options(*, is_deterministic: bool, keeps_compiled: bool) -> None:
    """Sets how XLA compiles, before JAX starts. What the user has set stays.

    Args:
      is_deterministic: whether a GPU gives the same bits at each launch, which takes
        about a sixth of its speed.
      keeps_compiled: whether compiled programs are kept on disk for later launches.
        Processors that differ have folders of their own.
    """
    set_deterministic(is_deterministic)
    if not keeps_compiled:
        os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        return
    folder = os.path.join(_cache_home(), "vae", "compiled", _processor())
    if _can_be_written(folder):
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)
        seconds = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
        os.environ.setdefault(seconds, str(SECONDS_TO_KEEP))


def set_deterministic(is_deterministic: bool) -> None:
    """Sets whether a GPU gives the same bits at each launch, before JAX starts."""
    flags = os.environ.get("XLA_FLAGS", "")
    if DETERMINISTIC not in flags:  # other devices do not read it
        flag = f"{DETERMINISTIC}={str(is_deterministic).lower()}"
        os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()


def is_deterministic() -> bool:
    """Whether launches with these settings give the same bits. A CPU always does."""
    import jax

    flags = os.environ.get("XLA_FLAGS", "").split()
    on = {DETERMINISTIC, f"{DETERMINISTIC}=true", f"{DETERMINISTIC}=1"}
    return jax.default_backend() != "gpu" or bool(on & {*flags})


def _processor() -> str:
    """Returns what tells processors apart, of which code may run on one only."""
    try:
        told = Path("/proc/cpuinfo").read_bytes()
    except OSError:
        told = " ".join(os.uname()).encode()
    lines = told.splitlines()
    names = b"model name", b"flags", b"Features", b"CPU part"  # the latter of ARM
    kinds = {line for line in lines if line.startswith(names)}
    return hashlib.sha256(b"".join(sorted(kinds))).hexdigest()[:12]


def _cache_home() -> str:
    return os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")


def _find_numba_a_cache() -> None:
    """Gives numba, which umap is made of, a temporary folder if the user's cannot be
    written: numba refuses to compile where it cannot keep what it compiled."""
    home = _cache_home()
    folders = os.environ.get("NUMBA_CACHE_DIR", home), home
    if not any(map(_can_be_written, folders)):
        name = f"vae-numba-{os.getuid()}"
        os.environ["NUMBA_CACHE_DIR"] = os.path.join(tempfile.gettempdir(), name)


def _can_be_written(folder: str) -> bool:
    while not os.path.exists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def start_devices() -> None:
    """Starts JAX's devices.

    Raises:
      Refused: they cannot be used.
    """
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS")
        said = (str(error).splitlines() or [""])[0]
        if not asked:
            raise Refused(f"JAX finds no device that it can use: {said}") from error
        said = said.partition(" (set JAX_PLATFORMS")[0]
        reason = f" ({said})" if said else ""
        raise Refused(
            f"JAX_PLATFORMS={asked}: JAX cannot use such a device here{reason}; unset "
            "JAX_PLATFORMS, or set it to cpu"
        ) from error


def _explain_settings(error: ValueError) -> str:
    """Names the variable that JAX refuses: its message has the name in either case."""
    text = str(error)
    for name, value in os.environ.items():
        if name.startswith("JAX_") and name.lower() in text.lower():
            return (
                f"{name}={value}: JAX does not accept this value; correct or unset it"
            )
    return f"JAX does not start: {text}; look at the variables JAX_... that are set"

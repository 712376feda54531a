"""The environment in which JAX starts: what is wrong with it, in one line.

Imports nothing that takes long.
"""

import os
import resource
import tempfile

from experiments.hints import Refused

MOST_DEVICES = 1_024  # to simulate: each has threads of its own
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


def _find_numba_a_cache() -> None:
    """Gives numba, which umap is made of, a temporary folder if the user's cannot be
    written: numba refuses to compile where it cannot keep what it compiled."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
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

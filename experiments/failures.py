"""What a failure is called, what may have caused it, and its exit status."""

import math
import tempfile
import traceback
from pathlib import Path

import jax

from configs import default
from experiments import workdir as workdirs
from experiments.hints import Refused
from vae.build import Experiment, operative
from vae.data.preprocess import pixel_range
from vae.training.checkpoint import SaveError
from vae.training.loop import Diverged, Interrupted
from vae.types import UserError

# In what XLA and the system say where memory, or room for a thread's stack, is lacking.
NO_MEMORY = (
    "RESOURCE_EXHAUSTED",
    "out of memory",
    "bad_alloc",
    "can't start new thread",
)


class EvaluationError(UserError):
    """Parts of an evaluation failed, by no error of the user's. A sweep goes on with
    its other members, as after any error of one of them."""


def explain(error: BaseException, workdir: Path | None) -> tuple[int, str]:
    """Returns the exit status and the line to print.

    Args:
      error: what ended the launch.
      workdir: if it was given. The traceback of a fault of this program is written
        there if a run is there, else to a temporary file.
    """
    if isinstance(error, (UserError, Refused)):
        return (1 if isinstance(error, EvaluationError) else 2), str(error)
    if isinstance(error, Diverged):
        return 3, str(error)
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        said = str(error) or "interrupted"
        return 130, f"{said}; launch the same command again to continue"
    if is_no_memory(error):
        return 1, (
            "out of memory; lower dataset.batch_size (training), "
            "runtime.evaluation_batch_size, the widths of encoder and decoder, or "
            f"runtime.steps_per_call{_others_on_gpu()} ({_first_line(error)})"
        )
    if isinstance(error, (SaveError, OSError)):
        return 1, str(error)
    return 1, _explain_fault(error, workdir)


def _others_on_gpu() -> str:
    if jax.default_backend() != "gpu":
        return ""
    return (
        "; or end other processes on this GPU, which take three quarters of its memory "
        "at their start, or start each with XLA_PYTHON_CLIENT_PREALLOCATE=false"
    )


def is_no_memory(error: BaseException) -> bool:
    """Whether memory is lacking."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in NO_MEMORY
    )


def _explain_fault(error: BaseException, workdir: Path | None) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    at = f" (at {frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    if workdir is None or not (workdir / "config.json").exists():
        workdir = Path(tempfile.mkdtemp())
    path = workdir / "traceback.txt"
    text = "".join(traceback.format_exception(error))
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        kept = f"for a report, the traceback is in {path}"
    except OSError as unwritten:
        kept = f"its traceback could not be written: {unwritten}"
    return (
        f"a fault of this program: {type(error).__name__}: {_first_line(error)}{at}; "
        f"{kept}"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no message"])[0]


def cause_before_training(experiment: Experiment) -> str:
    """Returns what may be wrong if the first parameters, which no step has changed,
    have no finite loss: the images, or numbers that are far from their defaults."""
    low, high = pixel_range(experiment.dataset.train)
    defaults = workdirs.flatten(operative(default.get_config()))
    odd = [
        f"{field}={value} (default {defaults[field]})"
        for field, value in workdirs.flatten(experiment.config).items()
        if isinstance(value, float) and _is_far(value, defaults.get(field, value))
    ]
    return (
        "no step of training was taken, so the data or the config are the cause: "
        f"values range from {low:.4g} to {high:.4g}; "
        f"{', '.join(odd) or 'all numbers of the config are near their defaults'}"
    )


def _is_far(value: float, default: float) -> bool:
    """Whether a number is a hundred times larger or smaller than its default."""
    if not value or not default:
        return abs(value - default) > 100
    return abs(math.log10(abs(value / default))) > 2

"""Launches an experiment from flags.

    python launch.py --config=configs/quickstart.py
    python launch.py --config=configs/mnist_vae.py --config.objective.beta=4 --workdir=runs/b4
    python launch.py --experiment=evaluate --workdir=runs/b4

Exit status: 0 done; 1 the machine failed (a full disk); 2 the input is wrong; 3 the
run diverged; 130 interrupted. Each failure is one line on standard error, and the same
command launched again continues.
"""  # noqa: E501

import logging
import re
import sys
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "FILE[:MODE] of an experiment; --config.FIELD=VALUE overrides."
)
_EXPERIMENT = flags.DEFINE_enum(
    "experiment", "train", ("train", "evaluate"), "What to launch."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run (default: runs/NAME of the config)."
)
_MULTIHOST = flags.DEFINE_string(
    "multihost",
    None,
    "Run as one of several processes: 'auto' (Slurm, TPU pods, Kubernetes), or "
    "COORDINATOR:PORT,PROCESS,NUMBER_OF_PROCESSES.",
)


def main(arguments: list[str]) -> int:
    if "--help" in arguments:
        print(__doc__, flags.FLAGS.main_module_help(), sep="\n")
        return 0
    try:
        stray = flags.FLAGS(arguments)[1:]
        config = _CONFIG.value and _CONFIG.value.copy_and_resolve_references()
    except Exception as error:  # whatever a config file raises is the user's to mend
        return _fail(2, _explain(error))
    if stray:
        return _fail(2, f"not a flag: {stray[0]}")
    return _launch(config)


def _launch(config) -> int:
    # Imported late, so that a wrong flag is told of at once.
    import jax

    from vae.training.checkpoint import SaveError
    from vae.training.loop import Diverged, Interrupted
    from vae.types import UserError

    # Orbax and TFDS log what they also raise, and with tracebacks.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    sys.unraisablehook = _tell_unless_loop_closed
    try:
        _join_hosts(jax.distributed.initialize)
        _run(config)
    except UserError as error:
        return _fail(2, error)
    except SaveError as error:
        return _fail(1, error)
    except Diverged as error:
        return _fail(3, error)
    except Interrupted as error:
        return _fail(130, f"{error}; launch the same command again to continue")
    except KeyboardInterrupt:
        return _fail(130, "interrupted; launch the same command again to continue")
    return 0


def _run(config) -> None:
    from experiments import evaluate, train
    from vae.types import UserError

    if _EXPERIMENT.value == "evaluate":
        if _WORKDIR.value is None:
            raise UserError("--experiment=evaluate needs --workdir=FOLDER of a run")
        evaluate.run(config, Path(_WORKDIR.value))
        return
    if config is None:
        raise UserError("--config is missing, as in --config=configs/quickstart.py")
    train.run(config, Path(_WORKDIR.value or _default_workdir()))


def _default_workdir() -> str:
    flag: Any = flags.FLAGS["config"]
    file, _, mode = flag.config_filename.partition(":")
    return f"runs/{Path(file).stem}" + (f"_{mode}" if mode else "")


def _join_hosts(initialize) -> None:
    from vae.types import UserError

    if _MULTIHOST.value is None:
        return
    if _MULTIHOST.value == "auto":
        initialize()
        return
    try:
        coordinator, process, processes = _MULTIHOST.value.split(",")
        initialize(coordinator, int(processes), int(process))
    except ValueError as error:
        raise UserError(
            f"--multihost={_MULTIHOST.value}: must be auto or "
            f"COORDINATOR:PORT,PROCESS,NUMBER_OF_PROCESSES ({error})"
        ) from error


def _explain(error: Exception) -> str:
    """Returns the cause that ml_collections wraps in layers, on one line."""
    text = str(error).replace("\\'", "'").replace("\\n", "\n")
    lines = [line for line in text.splitlines() if line.strip()]
    if "No such file" in text:
        return f"--config: {lines[-1].strip()}"
    if "Error whilst parsing config file" in text:
        return f"--config: {lines[-1]}"
    if match := re.search(r"""Did you mean "(.*)" instead of "(.*)"\?""", text):
        return f"the config has no field {match[2]}; did you mean {match[1]}?"
    if isinstance(error, (AttributeError, KeyError)):
        return f"the config has no field {' '.join(lines)}"
    return " ".join(lines)


def _tell_unless_loop_closed(unraisable) -> None:
    """Drops what TensorStore says to a loop that Orbax closed after a failed write."""
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _fail(status: int, message: object) -> int:
    print("error:", " ".join(str(message).split()), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv))

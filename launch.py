"""Launches an experiment from flags, from the root of the repository.

    python launch.py --config=configs/quickstart.py
    python launch.py --config=configs/quickstart.py --config.objective.beta=4 \\
        --workdir=runs/b4
    python launch.py --experiment=evaluate --workdir=runs/b4
    python launch.py --experiment=sweep --config=configs/quickstart.py \\
        --sweep=objective.beta=1,4 --sweep=model.latent_dim=2,10 --sweep=seed=0,1

Exit status: 0 done; 1 the machine failed (a full disk); 2 the input is wrong; 3 the
run diverged; 130 interrupted. Each failure is one line on standard error, and the same
command launched again continues.
"""

import functools
import runpy
import sys
from inspect import signature
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags

from experiments import interrupt, terminal

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "FILE[:MODE] of an experiment; --config.FIELD=VALUE overrides."
)
_EXPERIMENT = flags.DEFINE_enum(
    "experiment",
    "train",
    ("train", "evaluate", "sweep", "reproduce", "latents", "anomaly", "benchmark"),
    "What to launch.",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run (default: runs/NAME of the config)."
)
_SWEEP = flags.DEFINE_multi_string(
    "sweep",
    [],
    "FIELD=V1,V2,... or the name of a generator sweep_NAME beside the config; may be "
    "repeated, for the product. Without it: the config's sweep().",
)
_EXECUTOR = flags.DEFINE_enum(
    "executor",
    None,
    ("map", "vmap", "serial", "ray"),
    "How a sweep's members are done (default: map on CPU, vmap on accelerators).",
)
_RAY_ADDRESS = flags.DEFINE_string(
    "ray_address", "", "Of a Ray cluster, or 'auto' (default: this machine)."
)
_PRINT_ONLY = flags.DEFINE_bool("print_only", False, "Only list a sweep's cells.")
_YES = flags.DEFINE_bool("yes", False, "Allow a sweep of more than 10,000 cells.")
_SCORE = flags.DEFINE_string(
    "score", None, "Images to score by the run in --workdir, as for dataset.name."
)
_FALSE_ALARM_RATE = flags.DEFINE_float(
    "false_alarm_rate",
    0.05,
    "The share of the run's test images that --score may take for anomalies.",
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
        return terminal.fail(2, terminal.explain_flags(error))
    if stray:
        return terminal.fail(2, f"not a flag: {stray[0]}")
    if _MULTIHOST.value is None:  # with several hosts, JAX handles the signals
        interrupt.watch()
    return _launch(config)


def _launch(config: Any) -> int:
    # Imported late, so that a wrong flag is told of at once.
    import jax

    from vae.training.checkpoint import SaveError
    from vae.training.loop import Diverged, Interrupted
    from vae.types import UserError

    terminal.quieten_libraries()
    try:
        _join_hosts(jax.distributed.initialize)
        _run(config)
    except UserError as error:
        return terminal.fail(2, error)
    except (SaveError, OSError) as error:
        return terminal.fail(1, error)
    except Diverged as error:
        return terminal.fail(3, error)
    except (Interrupted, KeyboardInterrupt) as error:
        again = "launch the same command again to continue"
        return terminal.fail(130, f"{error or 'interrupted'}; {again}")
    return 0


def _run(config: Any) -> None:
    from experiments import evaluate, reproduce, sweep, train
    from experiments.benchmark import run as benchmark
    from vae.types import UserError

    experiment = _EXPERIMENT.value
    if experiment != "sweep" and (_SWEEP.value or _PRINT_ONLY.value or _YES.value):
        raise UserError("--sweep, --print_only and --yes are for --experiment=sweep")
    if experiment not in ("sweep", "reproduce") and _EXECUTOR.value:
        raise UserError("--executor is for --experiment=sweep and reproduce")
    if experiment == "evaluate" and _WORKDIR.value is None:
        raise UserError("--experiment=evaluate needs --workdir=FOLDER of a run")
    if experiment != "anomaly" and _SCORE.value is not None:
        raise UserError("--score is for --experiment=anomaly")
    if experiment in ("latents", "anomaly"):
        _use_run(config, experiment)
        return
    if experiment in ("train", "evaluate") and _WORKDIR.value is not None:
        launched = evaluate if experiment == "evaluate" else train
        launched.run(config, Path(_WORKDIR.value))
        return
    if config is None:
        raise UserError("--config is missing, as in --config=configs/quickstart.py")
    folder = Path(_WORKDIR.value or _default_workdir())
    if experiment == "train":
        train.run(config, folder)
    elif experiment == "reproduce":
        sweep.use_cores()
        reproduce.run(
            config,
            _table_beside_config(),
            folder,
            executor=_EXECUTOR.value,
            address=_RAY_ADDRESS.value,
        )
    elif experiment == "benchmark":
        benchmark.run(config, _beside_config("workloads"), folder)
    else:
        _run_sweep(config, folder)


def _use_run(config: Any, experiment: str) -> None:
    """Launches what takes a run that is done, as it is."""
    from experiments import score
    from experiments.latents import run as latents
    from vae.types import UserError

    if config is not None:
        raise UserError(
            f"--experiment={experiment} takes the config of the run in --workdir: "
            "leave --config out"
        )
    if experiment == "latents" and _WORKDIR.value is not None:
        latents.run(Path(_WORKDIR.value))
    elif experiment == "latents":
        raise UserError("--experiment=latents needs --workdir=FOLDER of a run")
    elif _WORKDIR.value is None or _SCORE.value is None:
        raise UserError(
            "--experiment=anomaly needs --workdir=FOLDER of a run and --score=NAME "
            "of the images, as in --score=npz:images.npz"
        )
    else:
        score.run(Path(_WORKDIR.value), _SCORE.value, _FALSE_ALARM_RATE.value)


def _run_sweep(config: Any, folder: Path) -> None:
    from experiments import sweep
    from experiments.cells import plan_cells

    sweep.use_cores()
    cells = plan_cells(config, _SWEEP.value, _beside_config, allow_many=_YES.value)
    if _PRINT_ONLY.value:
        sweep.print_cells(cells, executor=_EXECUTOR.value)
    else:
        sweep.run(cells, folder, executor=_EXECUTOR.value, address=_RAY_ADDRESS.value)


def _beside_config(name: str) -> Any:
    """Returns the function called `name` of the config's file."""
    from vae.types import UserError

    file, _, _ = _config_filename().partition(":")
    try:
        return runpy.run_path(file)[name]
    except KeyError as error:
        instead = ": give --sweep=FIELD=V1,V2,..." if "sweep" in name else ""
        raise UserError(f"{file} has no function {name}(){instead}") from error


def _table_beside_config() -> Any:
    """Returns a function of nothing: the config's `table`, given the mode if it takes
    it."""
    table = _beside_config("table")
    _, _, mode = _config_filename().partition(":")
    return functools.partial(table, mode) if signature(table).parameters else table


def _config_filename() -> str:
    flag: Any = flags.FLAGS["config"]
    return flag.config_filename


def _default_workdir() -> str:
    file, _, mode = _config_filename().partition(":")
    return f"runs/{Path(file).stem}" + (f"_{mode}" if mode else "")


def _join_hosts(initialize: Any) -> None:
    from vae.types import UserError

    if _MULTIHOST.value is None:
        return
    try:
        # The first process scores and draws alone, and the others wait for it.
        patience = {"shutdown_timeout_seconds": 24 * 60 * 60}
        if _MULTIHOST.value == "auto":
            initialize(**patience)
            return
        coordinator, process, processes = _MULTIHOST.value.split(",")
        initialize(coordinator, int(processes), int(process), **patience)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"--multihost={_MULTIHOST.value}: must be auto (under a scheduler) or "
            f"COORDINATOR:PORT,PROCESS,NUMBER_OF_PROCESSES ({error})"
        ) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv))

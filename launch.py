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

import sys
from typing import Any

from absl import flags
from ml_collections import config_flags

from experiments import interrupt, terminal

EXPERIMENTS = (
    "train",
    "evaluate",
    "sweep",
    "reproduce",
    "latents",
    "anomaly",
    "benchmark",
    "collect",
)

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "FILE[:MODE] of an experiment; --config.FIELD=VALUE overrides."
)
_EXPERIMENT = flags.DEFINE_enum(
    "experiment", "train", EXPERIMENTS, "What to launch; see README.md."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run (default: runs/NAME of the config)."
)
_SWEEP = flags.DEFINE_multi_string(
    "sweep",
    None,
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
    "ray_address", None, "Of a Ray cluster, or 'auto' (default: this machine)."
)
_PRINT_ONLY = flags.DEFINE_bool("print_only", None, "Only list a sweep's cells.")
_YES = flags.DEFINE_bool("yes", None, "Allow a sweep of more than 10,000 cells.")
_SCORE = flags.DEFINE_string(
    "score", None, "Images to score by the run in --workdir, as for dataset.name."
)
_FALSE_ALARM_RATE = flags.DEFINE_float(
    "false_alarm_rate",
    None,
    "The share of the run's test images that --score may take for anomalies (.05).",
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

    from experiments import launches
    from vae.training.checkpoint import SaveError
    from vae.training.loop import Diverged, Interrupted
    from vae.types import UserError

    terminal.quieten_libraries()
    try:
        _join_hosts(jax.distributed.initialize)
        launches.launch(_asked(config))
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


def _asked(config: Any) -> Any:
    """Returns what the flags say, as `experiments.launches.Asked`."""
    from experiments.launches import Asked

    flag: Any = flags.FLAGS["config"]
    return Asked(
        experiment=_EXPERIMENT.value,
        config=config,
        config_file="" if config is None else flag.config_filename,
        workdir=_WORKDIR.value,
        sweep=_SWEEP.value,
        print_only=_PRINT_ONLY.value,
        yes=_YES.value,
        executor=_EXECUTOR.value,
        ray_address=_RAY_ADDRESS.value,
        score=_SCORE.value,
        false_alarm_rate=_FALSE_ALARM_RATE.value,
    )


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

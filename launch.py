"""Launches an experiment from flags, from the root of the repository.

    python launch.py --config=configs/quickstart.py
    python launch.py --config=configs/quickstart.py --config.objective.beta=4 \\
        --workdir=runs/b4
    python launch.py --experiment=evaluate --workdir=runs/b4
    python launch.py --experiment=sweep --config=configs/quickstart.py \\
        --sweep=objective.beta=1,4 --sweep=model.latent_dim=2,10 --sweep=seed=0,1

Exit status: 0 done; 1 the machine failed (a full disk, too little memory) or this
program did; 2 the input is wrong; 3 the
run diverged; 130 interrupted. Each failure is one line on standard error, and the same
command launched again continues.
"""

import re
import sys
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import config_flags

from experiments import environment, hints, interrupt, terminal

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

# Overrides of the config that a run in --workdir has are read as those of this one,
# which has the same fields: the run's own needs libraries that take long to import.
_DEFAULTS = Path(__file__).parent / "configs" / "default.py"
_ARGUMENTS = list(sys.argv)
_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "FILE[:MODE] of an experiment; --config.FIELD=VALUE overrides. With --workdir of a "
    "run and without --config, the run's own config is overridden.",
    sys_argv=_ARGUMENTS,
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
_DATA = flags.DEFINE_string(
    "data",
    None,
    "The run's data, if they are no longer where its config says; as for dataset.name.",
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
    terminal.prepare_streams()
    if {"-h", "-help", "--help"} & {*arguments}:
        print(__doc__, flags.FLAGS.main_module_help(), sep="\n")
        return 0
    is_of_run = _overrides_run(arguments)
    _ARGUMENTS[:] = arguments
    if is_of_run:
        _ARGUMENTS.insert(1, f"--config={_DEFAULTS}")
    try:
        stray = flags.FLAGS(_ARGUMENTS)[1:]
        config = _CONFIG.value and _CONFIG.value.copy_and_resolve_references()
    except Exception as error:  # whatever a config file raises is the user's to mend
        return terminal.fail(2, hints.explain_flags(error, _ARGUMENTS))
    if stray:
        return terminal.fail(2, f"not a flag: {stray[0]}")
    if _MULTIHOST.value is None:  # with several hosts, JAX handles the signals
        interrupt.watch()
    return _launch(config, is_of_run=is_of_run)


def _overrides_run(arguments: list[str]) -> bool:
    """Says if fields are overridden of the config that the run in --workdir has."""

    def given(pattern: str) -> bool:
        return any(re.match(pattern, word) for word in arguments)

    is_named = given("--?config(=|$)")
    return given(r"--?(no)?config\.") and given("--?workdir(=|$)") and not is_named


def _launch(config: Any, *, is_of_run: bool) -> int:
    if not _PRINT_ONLY.value:
        terminal.say("loading libraries")
    if fault := environment.find_fault():
        return terminal.fail(2, fault)
    # Imported late, so that a wrong flag is refused at once.
    import jax

    from experiments import failures

    terminal.quieten_libraries()
    try:
        from experiments import launches

        _join_hosts(jax.distributed.initialize)
        launches.launch(_asked(config, is_of_run=is_of_run))
    except (Exception, KeyboardInterrupt) as error:
        return terminal.fail(*failures.explain(error, _WORKDIR.value))
    return 0


def _asked(config: Any, *, is_of_run: bool) -> Any:
    """Returns what the flags say, as `experiments.launches.Asked`."""
    from experiments.launches import Asked

    flag: Any = flags.FLAGS["config"]
    is_from_file = config is not None and not is_of_run
    return Asked(
        experiment=_EXPERIMENT.value,
        config=config if is_from_file else None,
        config_file=flag.config_filename if is_from_file else "",
        overrides=flag.override_values if is_of_run else {},
        workdir=_WORKDIR.value,
        sweep=_SWEEP.value,
        print_only=_PRINT_ONLY.value,
        yes=_YES.value,
        executor=_EXECUTOR.value,
        ray_address=_RAY_ADDRESS.value,
        score=_SCORE.value,
        false_alarm_rate=_FALSE_ALARM_RATE.value,
        data=_DATA.value,
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

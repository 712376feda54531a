"""Launches an experiment from flags. Installed, `vae-launch` stands for
`python launch.py`; a config that is not in this folder is that of the program.

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

import dataclasses
import functools
import re
import sys
from os.path import abspath, expanduser
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from absl import flags
from ml_collections import config_flags

from experiments import environment, hints, interrupt, terminal
from experiments.flags import Chosen, Launch
from experiments.hints import Refused
from experiments.launches import EXPERIMENTS

# Overrides of the config that a run in --workdir has are read as those of this one,
# which has the same fields: the run's own needs libraries that take long to import.
_DEFAULTS = hints.ROOT / "configs" / "default.py"
_ARGUMENTS = list(sys.argv)
_EXPERIMENT = flags.DEFINE_enum(
    "experiment",
    "train",
    list(EXPERIMENTS),
    " ".join(f"{name}: {kind.__doc__}" for name, kind in EXPERIMENTS.items()),
)
_MULTIHOST = flags.DEFINE_string(
    "multihost",
    None,
    "Run as one of several processes: 'auto' (Slurm, TPU pods, Kubernetes), or "
    "COORDINATOR:PORT,PROCESS,NUMBER_OF_PROCESSES.",
)
_DETERMINISTIC = flags.DEFINE_bool(
    "deterministic",
    True,
    "Whether a GPU gives the same bits at each launch, at about 5/6 of its speed.",
)
_KEEP_COMPILED = flags.DEFINE_bool(
    "keep_compiled",
    True,
    "Whether compiled programs are kept, in XDG_CACHE_HOME, for later launches.",
)
_TRACKER = flags.DEFINE_enum(
    "tracker",
    None,
    ["wandb", "mlflow"],
    "Where metrics and results are sent, too: Weights & Biases or MLflow.",
)
_TRACKED = "train", "evaluate", "sweep", "reproduce"  # experiments
_READ = {  # by each experiment: {flag: field of the dataclass}
    name: {field.name: field for field in dataclasses.fields(kind)}
    for name, kind in EXPERIMENTS.items()
}


def _define(name: str, kind: Any, text: str) -> None:
    """Defines a flag, which is None until it is given."""
    of = [part for part in get_args(kind) if get_origin(part) is Literal]
    if kind is Chosen:
        config_flags.DEFINE_config_file(name, None, text, sys_argv=_ARGUMENTS)
    elif of:
        flags.DEFINE_enum(name, None, get_args(of[0]), text)
    elif get_origin(kind) is tuple:
        flags.DEFINE_multi_string(name, None, text)
    else:
        kinds = {
            bool: flags.DEFINE_bool,
            float: flags.DEFINE_float,
            int: flags.DEFINE_integer,
        }
        kinds.get(kind, flags.DEFINE_string)(name, None, text)


def _help_of(flag: str) -> str:
    """Returns the text of a flag; where experiments differ, that of each."""
    readers: dict[str, list[str]] = {}
    for name, read in _READ.items():
        if flag in read:
            readers.setdefault(get_args(read[flag].type)[1], []).append(name)
    if len(readers) == 1:
        return next(iter(readers))
    return " ".join(f"{', '.join(of)}: {text}" for text, of in readers.items())


_FLAGS = {flag: field for read in _READ.values() for flag, field in read.items()}
for _name, _field in _FLAGS.items():
    _define(_name, get_args(_field.type)[0], _help_of(_name))


def main(arguments: list[str] = sys.argv) -> int:
    terminal.prepare_streams()
    if {"-h", "-help", "--help"} & {*arguments}:
        module = flags.FLAGS.find_module_defining_flag("experiment")
        print(__doc__, flags.FLAGS.module_help(module), sep="\n")
        return 0
    try:
        given = _parse(arguments)
        asked = _make(_EXPERIMENT.value, given)
    except Refused as error:
        return terminal.fail(2, error)
    if not given.get("print_only"):
        terminal.say("loading libraries")
    return _launch(asked, given.get("workdir"))


def _parse(arguments: list[str]) -> dict[str, Any]:
    """Returns the flags that are given.

    Raises:
      Refused: a word is not a flag, or its value is wrong.
    """
    known = ["experiment", "multihost", "deterministic", "keep_compiled", "tracker"]
    known += _FLAGS
    hints.check_values_given(arguments, {n: flags.FLAGS[n].boolean for n in known})
    is_of_run = _overrides_run(arguments)
    _ARGUMENTS[:] = map(_find_config, arguments)
    if is_of_run:
        _ARGUMENTS.insert(1, f"--config={_DEFAULTS}")
    flag: Any = flags.FLAGS["config"]
    try:
        stray = flags.FLAGS(_ARGUMENTS)[1:]
        config = flag.value and flag.value.copy_and_resolve_references()
    except Exception as error:  # whatever a config file raises is the user's to mend
        raise Refused(hints.explain_flags(error, _ARGUMENTS, known)) from error
    if stray:
        raise Refused(hints.not_a_flag(stray[0], known))
    if _TRACKER.value and _EXPERIMENT.value not in _TRACKED:
        raise Refused(
            f"--tracker is for --experiment={', '.join(_TRACKED)}: leave it out"
        )
    given = {name: flags.FLAGS[name].value for name in _FLAGS}
    if config is not None:
        hints.check_tuples(flag.override_values)
        file, _, mode = flag.config_filename.partition(":")
        of_run = Chosen(overrides=flag.override_values)
        given["config"] = of_run if is_of_run else Chosen(config, file, mode)
    for name in ("workdir", "output"):
        if given[name] == "":
            raise Refused(f"--{name}= is empty: give a path")
        path: Any = given[name]
        given[name] = path and Path(expanduser(path))
    return {name: value for name, value in given.items() if value is not None}


def _find_config(word: str) -> str:
    """Returns a word of the command line; a config that is not in this folder, but
    comes with the program, is named by its full path."""
    match = re.fullmatch(r"(--?config=)(configs/[^:]*)(.*)", word)
    if match is None or Path(match[2]).exists():
        return word
    flag, file, mode = match.groups()
    ours = hints.ROOT / file
    return f"{flag}{ours}{mode}" if ours.is_file() else word


def _overrides_run(arguments: list[str]) -> bool:
    """Says if fields are overridden of the config that the run in --workdir has."""
    flag = re.compile(r"--?(?:no)?(config\.|config\b|workdir\b)")
    given = {match[1] for word in arguments if (match := flag.match(word))}
    return given == {"config.", "workdir"}


def _make(name: str, given: dict[str, Any]) -> Launch:
    """Returns an experiment with its flags.

    Raises:
      Refused: it does not read one of them, or lacks one.
    """
    read, chosen = _READ[name], given.get("config", Chosen())
    if unread := [flag for flag in given if flag not in read]:
        readers = [reader for reader, of_it in _READ.items() if unread[0] in of_it]
        raise Refused(
            f"--{unread[0]} is for --experiment={', '.join(readers)}; --experiment="
            f"{name} does not read it: leave it out"
        )
    needed = [flag for flag, f in read.items() if f.default is dataclasses.MISSING]
    for flag in needed:
        if flag not in {"config", *given}:
            _, text = get_args(read[flag].type)
            raise Refused(f"--experiment={name} needs --{flag}={text}")
    is_config_needed = "config" in needed or "workdir" not in given
    if "config" in read and is_config_needed and chosen.config is None:
        raise Refused("--config is missing, as in --config=configs/quickstart.py")
    asked = EXPERIMENTS[name](**given)
    if "config" in read:
        is_of_run = "workdir" in needed or chosen.overrides is not None
        _check_folder(asked.folder, is_of_run=is_of_run)
    return asked


def _check_folder(folder: Path, *, is_of_run: bool) -> None:
    if any("\udc80" <= character <= "\udcff" for character in abspath(folder)):
        raise Refused(
            f"--workdir={folder}: checkpoints need a path in UTF-8; choose another, "
            "or set LC_ALL=C.UTF-8 if the path is in UTF-8"
        )
    if folder.exists() and not folder.is_dir():
        raise Refused(f"--workdir={folder} is a file: name a folder")
    if is_of_run and not (folder / "config.json").exists():
        raise Refused(hints.no_run(folder))


def _launch(asked: Launch, workdir: Path | None) -> int:
    """Imports what takes long, and does the experiment."""
    if _MULTIHOST.value is None:
        interrupt.watch(ends_at_once=not asked.can_stop)
    environment.set_compiler_options(
        is_deterministic=_DETERMINISTIC.value, keeps_compiled=_KEEP_COMPILED.value
    )
    if fault := environment.find_fault():
        return terminal.fail(2, fault)
    from experiments import failures, tracking

    terminal.quieten_libraries()
    try:
        if _MULTIHOST.value is not None:
            _join_hosts(_MULTIHOST.value)
        if _TRACKER.value is not None:
            tracking.choose(_TRACKER.value)
        asked.launch()
    except (Exception, KeyboardInterrupt) as error:
        return terminal.fail(*failures.explain(error, workdir))
    return 0


def _join_hosts(how: str) -> None:
    import jax

    # The first process scores and draws alone, and the others wait for it.
    patience = 24 * 60 * 60  # seconds
    join = functools.partial(
        jax.distributed.initialize, shutdown_timeout_seconds=patience
    )
    try:
        if how == "auto":
            join()
        else:
            coordinator, process, processes = how.split(",")
            join(coordinator, int(processes), int(process))
    except (ValueError, RuntimeError) as error:
        raise Refused(
            f"--multihost={how}: must be auto (under a scheduler) or "
            f"COORDINATOR:PORT,PROCESS,NUMBER_OF_PROCESSES ({error})"
        ) from error
    interrupt.pass_on()


if __name__ == "__main__":
    sys.exit(main())

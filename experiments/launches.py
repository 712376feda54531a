"""Which experiment is launched with what, and what it needs."""

import runpy
from collections.abc import Callable
from inspect import signature
from os.path import abspath, expanduser
from pathlib import Path
from typing import Any, NamedTuple

import jax

from benchmarks import run as benchmark
from experiments import (
    collect,
    environment,
    evaluate,
    reproduce,
    score,
    sweep,
    train,
    workdir,
)
from experiments.cells import Overrides, override, plan_cells
from experiments.latents import run as latents
from experiments.terminal import say
from vae.build import Config
from vae.types import UserError

# Which experiments read a flag; the others refuse it.
READ_BY = {
    "config": (
        "train",
        "evaluate",
        "sweep",
        "reproduce",
        "latents",
        "anomaly",
        "benchmark",
    ),
    "sweep": ("sweep",),
    "print_only": ("sweep",),
    "yes": ("sweep",),
    "executor": ("sweep", "reproduce"),
    "ray_address": ("sweep", "reproduce"),
    "score": ("anomaly",),
    "false_alarm_rate": ("anomaly",),
    "data": ("train", "evaluate", "latents", "anomaly"),
}
# With --workdir of a run, which has a config.
CONFIG_OPTIONAL = ("train", "evaluate", "latents", "anomaly")
MEMBERS_TRAINED = ("sweep", "reproduce")
RUN_NEEDED = ("evaluate", "latents", "anomaly")
FALSE_ALARM_RATE = 0.05


class Asked(NamedTuple):
    """What the flags say; None is what none says."""

    experiment: str
    config: Config | None
    config_file: str  # FILE[:MODE]
    overrides: dict[str, Any]  # of the config of the run in `workdir`
    workdir: str | None
    sweep: list[str] | None
    print_only: bool | None
    yes: bool | None
    executor: str | None
    ray_address: str | None
    score: str | None
    false_alarm_rate: float | None
    data: str | None

    @property
    def file_and_mode(self) -> tuple[str, str]:
        file, _, mode = self.config_file.partition(":")
        return file, mode

    @property
    def folder(self) -> Path:
        """The workdir: by default `runs/NAME` of the config, or `runs/NAME_MODE`."""
        if self.workdir == "":
            raise UserError("--workdir= is empty: name a folder")
        if self.workdir is not None:
            return Path(expanduser(self.workdir))
        file, mode = self.file_and_mode
        return Path("runs") / (Path(file).stem + (f"_{mode}" if mode else ""))

    def beside_config(self, name: str) -> Any:
        """Returns what is called `name` in the config's file.

        Raises:
          UserError: there is nothing of that name.
        """
        file, _ = self.file_and_mode
        held = runpy.run_path(file)
        if name not in held:
            instead = ": give --sweep=FIELD=V1,V2,..." if "sweep" in name else ""
            raise UserError(f"{file} has no function {name}(){instead}")
        return held[name]

    def attempt(self, name: str, call: Callable[[], Any]) -> Any:
        """Calls the function `name` of the config's file, by `call`.

        Raises:
          UserError: it fails.
        """
        try:
            return call()
        except Exception as error:  # what a config file raises is the user's to mend
            file, _ = self.file_and_mode
            told = f"{type(error).__name__}: {error}"
            raise UserError(f"{name}() of {file} failed ({told})") from error


def launch(asked: Asked) -> None:
    """Launches an experiment.

    Raises:
      UserError: a flag is missing, or none of this experiment's; or see there.
    """
    _check(asked)
    if asked.experiment in MEMBERS_TRAINED:
        sweep.use_cores()
    if asked.experiment != "collect":
        _start_devices()
    if asked.overrides:
        config = override(workdir.config_of(asked.folder), asked.overrides)
        asked = asked._replace(config=config)
    if not asked.print_only and asked.experiment not in ("collect", "benchmark"):
        say("loading data")
    match asked.experiment:
        case "train":
            train.run(asked.config, asked.folder, data=asked.data)
        case "evaluate":
            evaluate.run(asked.config, asked.folder, data=asked.data)
        case "sweep":
            _sweep(asked)
        case "reproduce":
            _reproduce(asked)
        case "latents":
            latents.run(asked.folder, config=asked.config, data=asked.data)
        case "anomaly":
            _score(asked)
        case "benchmark":
            workloads = asked.beside_config("workloads")
            benchmark.run(asked.config, workloads, asked.folder)
        case "collect":
            collect.run(None if asked.workdir is None else asked.folder)


def _start_devices() -> None:
    if fault := environment.find_fault_of_devices(jax):
        raise UserError(fault)


def _check(asked: Asked) -> None:
    """Refuses flags that nothing reads, and the lack of those that are needed."""
    experiment = asked.experiment
    for flag, readers in READ_BY.items():
        is_given = getattr(asked, flag) is not None
        is_given |= flag == "config" and bool(asked.overrides)
        if is_given and experiment not in readers:
            raise UserError(
                f"--{flag} is for --experiment={', '.join(readers)}; --experiment="
                f"{experiment} does not read it: leave it out"
            )
    if experiment in RUN_NEEDED and asked.workdir is None:
        raise UserError(f"--experiment={experiment} needs --workdir=FOLDER of a run")
    is_optional = experiment in CONFIG_OPTIONAL and asked.workdir is not None
    is_read = experiment in READ_BY["config"]
    if asked.config is None and is_read and not is_optional:
        raise UserError("--config is missing, as in --config=configs/quickstart.py")
    folder = "" if asked.config is None and asked.workdir is None else asked.folder
    if not _is_utf8(abspath(folder)):
        raise UserError(
            f"--workdir={folder}: checkpoints need a path in UTF-8; choose another, "
            "or set LC_ALL=C.UTF-8 if the path is in UTF-8"
        )


def _is_utf8(path: str) -> bool:
    """Says if a path has no bytes that Python could not read as characters."""
    return not any("\udc80" <= character <= "\udcff" for character in path)


def _sweep(asked: Asked) -> None:
    def generator(name: str) -> Callable[[], list[Overrides]]:
        generate = asked.beside_config(name)
        return lambda: asked.attempt(name, lambda: list(generate()))

    cells = plan_cells(
        asked.config, asked.sweep or [], generator, allow_many=bool(asked.yes)
    )
    if asked.print_only:
        sweep.print_cells(cells, executor=asked.executor)
    else:
        address = asked.ray_address or ""
        sweep.run(cells, asked.folder, executor=asked.executor, address=address)


def _reproduce(asked: Asked) -> None:
    file, mode = asked.file_and_mode
    plan = asked.beside_config("table")

    def table() -> Any:
        arguments = (mode,) if signature(plan).parameters else ()
        return asked.attempt("table", lambda: plan(*arguments))

    said = asked.beside_config("__doc__") or asked.config_file
    reproduce.run(
        asked.config,
        table,
        asked.folder,
        title=" ".join(said.split("\n\n")[0].split()),
        own=_own_config(asked),
        executor=asked.executor,
        address=asked.ray_address or "",
    )


def _own_config(asked: Asked) -> Config | None:
    """Returns what the config's file gives without a mode; None if it needs one."""
    get_config = asked.beside_config("get_config")
    try:
        signature(get_config).bind()
    except TypeError:
        return None
    return get_config()


def _score(asked: Asked) -> None:
    if asked.score is None:
        raise UserError(
            "--experiment=anomaly needs --score=NAME of the images, as in "
            "--score=npz:images.npz"
        )
    rate = asked.false_alarm_rate
    score.run(
        asked.folder,
        asked.score,
        FALSE_ALARM_RATE if rate is None else rate,
        config=asked.config,
        data=asked.data,
    )

"""Which experiment is launched with what, and what it needs."""

import runpy
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from experiments import collect, evaluate, reproduce, score, sweep, train
from experiments.benchmark import run as benchmark
from experiments.cells import plan_cells
from experiments.latents import run as latents
from vae.build import Config
from vae.types import UserError

# Which experiments read a flag; the others refuse it.
READ_BY = {
    "config": ("train", "evaluate", "sweep", "reproduce", "benchmark"),
    "sweep": ("sweep",),
    "print_only": ("sweep",),
    "yes": ("sweep",),
    "executor": ("sweep", "reproduce"),
    "ray_address": ("sweep", "reproduce"),
    "score": ("anomaly",),
    "false_alarm_rate": ("anomaly",),
}
CONFIG_OPTIONAL = ("train", "evaluate")  # with --workdir, which then has one
RUN_NEEDED = ("evaluate", "latents", "anomaly")
FALSE_ALARM_RATE = 0.05


class Asked(NamedTuple):
    """What the flags say; None is what none says."""

    experiment: str
    config: Config | None
    config_file: str  # FILE[:MODE]
    workdir: str | None
    sweep: list[str] | None
    print_only: bool | None
    yes: bool | None
    executor: str | None
    ray_address: str | None
    score: str | None
    false_alarm_rate: float | None

    @property
    def file_and_mode(self) -> tuple[str, str]:
        file, _, mode = self.config_file.partition(":")
        return file, mode

    @property
    def folder(self) -> Path:
        """The workdir: by default `runs/NAME` of the config, or `runs/NAME_MODE`."""
        if self.workdir is not None:
            return Path(self.workdir)
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


def launch(asked: Asked) -> None:
    """Launches an experiment.

    Raises:
      UserError: a flag is missing, or none of this experiment's; or see there.
    """
    _check(asked)
    match asked.experiment:
        case "train":
            train.run(asked.config, asked.folder)
        case "evaluate":
            evaluate.run(asked.config, asked.folder)
        case "sweep":
            _sweep(asked)
        case "reproduce":
            _reproduce(asked)
        case "latents":
            latents.run(asked.folder)
        case "anomaly":
            _score(asked)
        case "benchmark":
            workloads = asked.beside_config("workloads")
            benchmark.run(asked.config, workloads, asked.folder)
        case "collect":
            collect.run(None if asked.workdir is None else asked.folder)


def _check(asked: Asked) -> None:
    """Refuses flags that nothing reads, and the lack of those that are needed."""
    experiment = asked.experiment
    for flag, readers in READ_BY.items():
        if getattr(asked, flag) is not None and experiment not in readers:
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


def _sweep(asked: Asked) -> None:
    sweep.use_cores()
    cells = plan_cells(
        asked.config, asked.sweep or [], asked.beside_config, allow_many=bool(asked.yes)
    )
    if asked.print_only:
        sweep.print_cells(cells, executor=asked.executor)
    else:
        address = asked.ray_address or ""
        sweep.run(cells, asked.folder, executor=asked.executor, address=address)


def _reproduce(asked: Asked) -> None:
    sweep.use_cores()
    file, mode = asked.file_and_mode
    plan = asked.beside_config("table")

    def table() -> Any:
        try:
            return plan(mode) if signature(plan).parameters else plan()
        except Exception as error:  # what a config file raises is the user's to mend
            told = f"{type(error).__name__}: {error}"
            raise UserError(f"table() of {file} failed ({told})") from error

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
    score.run(asked.folder, asked.score, FALSE_ALARM_RATE if rate is None else rate)

"""What an experiment is: its flags, and how it is launched."""

import abc
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from experiments import environment
from experiments.hints import Refused
from experiments.terminal import say


class Chosen(NamedTuple):
    """What `--config` and `--config.FIELD` say."""

    config: Any = None  # None: that of the run in the workdir
    file: str = ""
    mode: str = ""
    overrides: Any = None  # {field: value} of the run's config

    def beside(self, name: str) -> Any:
        """Returns what is called `name` in the config's file.

        Raises:
          Refused: there is nothing of that name.
        """
        held = runpy.run_path(self.file)
        if name not in held:
            instead = ": give --sweep=FIELD=V1,V2,..." if "sweep" in name else ""
            raise Refused(f"{self.file} has no function {name}(){instead}")
        return held[name]

    def attempt(self, name: str, call: Callable[[], Any]) -> Any:
        """Calls the function `name` of the config's file, by `call`.

        Raises:
          Refused: it fails.
        """
        try:
            return call()
        except Exception as error:  # what a config file raises is the user's to mend
            said = f"{type(error).__name__}: {error}"
            raise Refused(f"{name}() of {self.file} failed ({said})") from error


Config = Annotated[
    Chosen,
    "FILE[:MODE] of an experiment; --config.FIELD=VALUE overrides. With --workdir of a "
    "run and without --config, the run's own config is overridden.",
]
Workdir = Annotated[
    Path | None, "FOLDER of the run (default: runs/NAME of the config)."
]
RunFolder = Annotated[Path, "FOLDER of a run"]
Data = Annotated[
    str | None,
    "NAME of the run's data, if they are no longer where its config says; or of the "
    "images to encode, as in npz:images.npz; as for dataset.name.",
]


class Launch(abc.ABC):
    """An experiment with its flags.

    Attributes:
      can_stop: whether a signal makes it save its state and stop. Otherwise a signal
        ends the process at once.
    """

    can_stop: ClassVar[bool] = False
    workdir: Path | None
    config: Chosen

    @property
    def folder(self) -> Path:
        """The workdir: by default `runs/NAME` of the config, or `runs/NAME_MODE`."""
        stem, mode = Path(self.config.file).stem, self.config.mode
        return self.workdir or Path("runs", f"{stem}_{mode}" if mode else stem)

    @abc.abstractmethod
    def launch(self) -> None:
        """Does the experiment; raises UserError or Refused if the input is wrong."""

    def prepare(self, *, quiet: bool = False) -> Any:
        """Starts JAX's devices, and returns the config; None for the run's own."""
        from experiments import cells, workdir

        environment.start_devices()
        config = self.config.config
        if self.config.overrides:
            own = workdir.config_of(self.folder)
            config = cells.override(own, self.config.overrides)
        if not quiet:
            say("loading data")
        return config

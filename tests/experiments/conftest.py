"""Programs that the tests of a file share: most of a small run's time is compiling."""

import inspect
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from configs import default
from experiments import drawing, members, plots, runs, train
from experiments.program import Program, make_program
from tests import conftest as root
from vae.build import Experiment, operative
from vae.data.splits import content_hash
from vae.identity import program_key


def make_small_config() -> Any:
    """Returns what the fixture `small_config` is, for fixtures of a whole file."""
    return inspect.unwrap(root.small_config)()


EVALUATE = operative(default.get_config("smoke"))["evaluate"]


@pytest.fixture(scope="module")
def programs() -> Iterator[Callable[[Experiment], Program]]:
    """Returns (experiment) -> its program, which those that it serves share."""
    made: dict[Any, Program] = {}

    def share(experiment: Experiment) -> Program:
        config = {**experiment.config, "evaluate": EVALUATE}  # is not compiled
        data = content_hash(experiment.data.everything)
        key = program_key(config), data, experiment.placement
        return (
            made[key] if key in made else made.setdefault(key, make_program(experiment))
        )

    yield share
    made.clear()


@pytest.fixture
def shared_programs(
    programs: Callable[[Experiment], Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs and sweeps of one test, and of others in its file, compile no program that
    is there."""
    for module in (train, runs, members):
        monkeypatch.setattr(module, "make_program", programs)
    monkeypatch.setattr(jax, "clear_caches", lambda: None)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the plots of a sweep and the pictures of its members, which take
    seconds; they have tests of their own: `test_plots`, `test_train`."""
    monkeypatch.setattr(plots, "draw_all", lambda summary, swept, samples: [])
    monkeypatch.setattr(drawing, "draw", lambda trained, folder: None)


@pytest.fixture
def kept_run(tmp_path: Path) -> Path:
    """A copy of the first release's run, with examples of its data."""
    from tests.experiments.test_runs import FIRST_DATA, FIRST_RUN

    folder = Path(shutil.copytree(FIRST_RUN, tmp_path / "kept_run"))
    opened = runs.open_run(folder, data=FIRST_DATA)
    runs.keep_examples(folder, opened.experiment, opened.program.data_hash)
    return folder

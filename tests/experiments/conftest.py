"""Programs that the tests of a file share: most of a small run's time is compiling."""

import inspect
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import jax
import pytest

from configs import default
from experiments import drawing, evaluate, members, plots, runs, train
from experiments.latents import plane
from experiments.program import Program, make_program
from tests import conftest as root
from vae.build import Experiment, operative
from vae.data.splits import content_hash
from vae.evaluation import probe
from vae.identity import program_key


def make_small_config() -> Any:
    """Returns what the fixture `small_config` is, for fixtures of a whole file."""
    return inspect.unwrap(root.small_config)()


DEFAULTS = operative(default.get_config("smoke"))


class Programs:
    """The programs of a process's tests, by what is compiled. Those that differ in
    their training only share their evaluation."""

    MOST = 30  # are kept

    def __init__(self) -> None:
        self._made: dict[Any, Program] = {}

    def __call__(self, experiment: Experiment) -> Program:
        data = content_hash(experiment.data.everything), experiment.placement
        config = {**experiment.config, "evaluate": DEFAULTS["evaluate"]}
        program = self._keep((program_key(config), *data), make_program, experiment)
        names = "train", "optimizer", "objective", "runtime"  # evaluation knows none
        config |= {name: DEFAULTS[name] for name in names}
        base = self._keep((program_key(config), *data), lambda _: program, experiment)
        return program._replace(evaluate=base.evaluate, compiled=base.compiled)

    def _keep(self, key: Any, make: Callable[..., Program], given: Any) -> Program:
        if key not in self._made:
            self._made[key] = make(given)
            for oldest in [*self._made][: -self.MOST]:
                del self._made[oldest]
        return self._made[key]


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Returns (experiment) -> its program, which those that it serves share."""
    return Programs()


@contextmanager
def sharing(programs: Programs) -> Iterator[None]:
    """Runs and sweeps compile no program that is there."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (train, runs, members):
            patch.setattr(module, "make_program", programs)
        patch.setattr(jax, "clear_caches", lambda: None)
        yield


@pytest.fixture(autouse=True)
def _shared_programs(
    programs: Programs, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Tests share programs, except those that count compilations or want
    `own_programs`."""
    is_alone = {"compilations", "own_programs"} & {*request.fixturenames}
    with nullcontext() if is_alone else sharing(programs):
        yield


@pytest.fixture
def own_programs() -> None:
    """A test of what programs compute compiles its own."""


@pytest.fixture
def bounds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the other evaluations, in tests of something else: they compile for
    longer than the training."""
    bounds = {"bounds": evaluate.EVALUATIONS["bounds"]}
    monkeypatch.setattr(evaluate, "EVALUATIONS", bounds)


@pytest.fixture
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens what a page fits. UMAP compiles for 10 s in each process, and has a test
    of its own."""
    monkeypatch.setattr(probe, "STEPS", 100)
    monkeypatch.setattr(plane, "umap", lambda codes, seed: codes[:, :2])


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

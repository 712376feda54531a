"""Programs that the tests of a file share: most of a small run's time is compiling."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import pytest

from configs import default
from experiments import members, runs, train
from experiments.program import Program, make_program
from vae.build import Experiment, operative
from vae.data.splits import content_hash
from vae.identity import program_key

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

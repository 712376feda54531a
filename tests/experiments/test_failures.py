"""Each failure is one line and a status; a fault of the program keeps its traceback."""

from pathlib import Path

import jax
import pytest

from experiments import failures
from vae.training.checkpoint import SaveError
from vae.training.loop import Diverged, Interrupted
from vae.types import UserError

XLA = "RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes.\nmuch more"
NO_THREAD = "can't start new thread"

CASES = {
    "input": (UserError("mend it"), 2, "mend it"),
    "disk": (SaveError("full"), 1, "full"),
    "system": (OSError(28, "No space left"), 1, "No space left"),
    "diverged": (Diverged(3, ["loss"], None), 3, "diverged at step 3"),
    "stopped": (Interrupted("stopped"), 130, "stopped; launch the same command again"),
    "Ctrl-C": (KeyboardInterrupt(), 130, "interrupted; launch the same command again"),
    "memory": (MemoryError(), 1, "out of memory; lower dataset.batch_size"),
    "XLA": (jax.errors.JaxRuntimeError(XLA), 1, "runtime.evaluation_batch_size"),
    "threads": (RuntimeError(NO_THREAD), 1, "out of memory"),
    "fault": (KeyError("x"), 1, "a fault of this program: KeyError: 'x'"),
}


@pytest.mark.parametrize("case", CASES)
def test_statuses(case: str) -> None:
    error, status, said = CASES[case]
    got, message = failures.explain(error, None)
    assert got == status
    assert said in message
    assert "\n" not in message


def test_the_traceback_of_a_fault_is_kept(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("first\nsecond \udcff")

    def explain(folder: Path) -> str:
        try:
            fail()
        except ValueError as error:
            return failures.explain(error, folder)[1]
        raise AssertionError

    said = explain(tmp_path)
    assert f"ValueError: first (at {__file__}:" in said
    assert not [*tmp_path.iterdir()]  # not a run: nothing is written there
    kept = Path(said.rpartition(" ")[2])
    assert "in fail" in kept.read_text()
    kept.unlink()
    (tmp_path / "config.json").write_text("{}")
    assert explain(tmp_path).endswith(f"is in {tmp_path}/traceback.txt")
    assert "second \\udcff" in (tmp_path / "traceback.txt").read_text(encoding="utf-8")

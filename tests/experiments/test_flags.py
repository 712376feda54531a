"""What a config file has beside its config."""

from pathlib import Path

import pytest

from experiments import failures
from experiments.flags import Chosen
from experiments.hints import Refused
from experiments.launches import Sweep
from tests.conftest import ROOT


def test_a_generator_that_fails_is_told_of(small_config, tmp_path: Path) -> None:
    file = tmp_path / "config.py"
    file.write_text("def sweep():\n    yield {}[1]\n")
    chosen = Chosen(small_config, str(file))
    with pytest.raises(
        Refused, match=r"sweep\(\) of .* failed \(KeyError: 1\)"
    ) as told:
        Sweep(config=chosen, print_only=True).launch()
    assert failures.explain(told.value, None) == (2, str(told.value))


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        ((), r"has no function sweep\(\): give --sweep=FIELD=V1,V2"),
        (("objective.beta",), "no values: --sweep=objective.beta=V1,V2"),
    ],
)
def test_sweeps_without_values(small_config, sweeps, message: str) -> None:
    chosen = Chosen(small_config, str(ROOT / "configs/quickstart.py"))
    with pytest.raises(Refused, match=message):
        Sweep(config=chosen, sweep=sweeps, print_only=True).launch()

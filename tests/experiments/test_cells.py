"""What a sweep's flags mean, and what they may not."""

from pathlib import Path
from typing import Any

import pytest

from configs import default
from experiments import members, sweep
from experiments.cells import Cell, identify, plan_cells
from vae.build import operative
from vae.types import UserError


def cells_of(config: Any, *entries: str) -> list[Cell]:
    return plan_cells(config, entries, pytest.fail)


def test_what_changes_the_program_makes_groups(small_config) -> None:
    def count(*entries: str) -> int:
        return len(members.group_by_program(cells_of(small_config, *entries)))

    assert count("model.latent_dim=1,2,16", "objective.beta=1,2", "seed=0,1") == 1
    assert count("model.latent_dim=16,17,32,33") == 3
    small_config.objective.annealing = "linear"
    numbers = "objective.annealing_steps=10,20", "optimizer.learning_rate=.1,.2"
    assert count(*numbers) == 1
    assert count("model.encoder.widths=(8,),(8, 8)") == 2
    small_config.objective.annealing = "constant"
    assert count("objective.name=elbo,iwae", "objective.num_samples=1,2") == 4
    small_config.model.posterior.name = "iaf"
    assert count("model.latent_dim=2,3") == 2


BAD = {
    "objective.betta=1": "did you mean objective.beta",
    "beta=1,2": "no field beta; did you mean objective.beta",
    "objective.beta=high": "high must be a number, as in objective.beta=1.0",
    "model.latent_dim=2.5": "model.latent_dim=2.5 must be a whole number",
    "train.steps=1e2": "=100.0 must be a whole number, as in train.steps=100$",
    "objective.beta=1,2,1.0": "twice",
    "objective.beta=": "empty",
    "seed=" + ",".join(map(str, range(10_001))): "--yes",
    "model.latent_dim=2,0": "latent_dim=0 must be an integer, 1 or more",
    "objective.name=elbo,vq_vae": "vq_vae needs",
    "objective.name=iwae,beta_vae objective.beta=1,4": "does not read",
    "objective.beta=1,2 objective.beta=3,4": "twice",
}


@pytest.mark.slow
@pytest.mark.parametrize("entries", BAD)
def test_a_bad_sweep_is_refused_before_any_training(
    small_config, tmp_path: Path, entries: str
) -> None:
    with pytest.raises(UserError, match=BAD[entries]):
        sweep.run(cells_of(small_config, *entries.split(" ")), tmp_path)
    assert not (tmp_path / "members").exists()


def test_a_generator_must_yield_overrides(small_config) -> None:
    with pytest.raises(UserError, match="must yield overrides"):
        plan_cells(small_config, [], lambda name: lambda: [("objective.beta", 1.0)])


def test_sweeps_beside_a_config_have_names(small_config) -> None:
    def sweep_sizes():
        for size in (2, 3):
            yield {"model.latent_dim": size, "objective.beta": float(size)}

    functions = {"sweep": sweep_sizes, "sweep_sizes": sweep_sizes}
    unnamed = plan_cells(small_config, [], functions.__getitem__)
    named = plan_cells(small_config, ["sizes", "seed=0,1"], functions.__getitem__)
    assert [cell.overrides["model.latent_dim"] for cell in unnamed] == [2, 3]
    assert len(named) == 4
    assert {cell.id for cell in unnamed} < {cell.id for cell in named}


def test_a_new_field_at_its_default_renames_no_member(
    small_config, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, older = identify(operative(small_config)), default.get_config

    def newer(mode: str = "") -> Any:
        config = older(mode)
        config.objective.novelty = 2.0
        return config

    monkeypatch.setattr(default, "get_config", newer)
    small_config.objective.novelty = 2.0
    assert identify(operative(small_config)) == before
    small_config.objective.novelty = 3.0
    assert identify(operative(small_config)) != before

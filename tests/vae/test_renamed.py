"""Names of earlier versions: their fields and results are read by today's."""

from pathlib import Path

from configs import default
from experiments import workdir
from tests.conftest import ROOT
from vae.build import operative
from vae.renamed import FIELDS, flatten


def test_every_field_has_todays_name() -> None:
    today = flatten(operative(default.get_config()))
    assert set(FIELDS.values()) <= today.keys()
    assert not FIELDS.keys() & today.keys()
    held = workdir.config_of(ROOT / "tests/data/first_run")
    assert flatten(operative(held)).keys() == today.keys()
    assert held.runtime.checkpoint_every == 10
    assert held.evaluate.bounds.importance_samples == 5


def test_results_have_todays_names(tmp_path: Path) -> None:
    assert workdir.read_results(tmp_path) == {}
    old = {
        "test/elbo_nats": -1.0,
        "truth/images": 4,
        "truth/annealed_steps": 10,
        "truth/nll_ais_nats": 2.0,
        "truth/nll_ais_ess": 3.0,
        "truth/nll_is5_nats": 5.0,
    }
    workdir.write_json(tmp_path / "results.json", old)
    assert workdir.read_results(tmp_path) == {
        "test/elbo_nats": -1.0,
        "ais/images": 4,
        "ais/steps": 10,
        "ais/nll_nats": 2.0,
        "ais/ess": 3.0,
        "ais/nll_is5_nats": 5.0,
    }


def test_values_that_nothing_reads_are_dropped(tmp_path: Path) -> None:
    config = operative(default.get_config())
    config["objective"]["gamma"], config["objective"]["beta"] = 7.0, 4.0
    config["model"]["posterior"]["num_layers"] = 9
    config["optimizer"]["name"] = "unknown"
    workdir.write_json(tmp_path / "config.json", config)
    held = workdir.config_of(tmp_path)
    assert (held.objective.gamma, held.objective.beta) == (1_000.0, 4.0)
    assert held.model.posterior.num_layers == 2
    assert held.optimizer.name == "unknown"  # a later check says so
    config["objective"]["gamma"], config["model"]["posterior"]["num_layers"] = 1e3, 2
    assert operative(held) == config

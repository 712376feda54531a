"""What is evaluated, and when: each evaluation has tests of its own."""

from pathlib import Path
from typing import Any

import pytest

from experiments import evaluate, train
from experiments.evaluate import make_trained
from experiments.program import answer, make_program
from tests.experiments.test_train import read
from vae.build import build
from vae.evaluation import bounds
from vae.evaluation.registry import EVALUATIONS
from vae.training.loop import Interrupted

ASKED = {
    "anomalies": {
        "dataset.keep_labels": (3,),
        "evaluate.anomalies.source": "other_labels",
    },
    "fitted_density": {"evaluate.fitted_density.components": 2},
    "disentanglement": {
        "dataset.name": "sprites:16",
        "dataset.binarize": "none",
        "evaluate.disentanglement.points": 80,
    },
    "ais": {"evaluate.ais.images": 4, "evaluate.ais.steps": 3},
    "validation": {"dataset.validation_size": 100},
    "bounds": {},
}


@pytest.mark.parametrize("name", ASKED)
def test_each_stops_between_batches_when_it_is_asked_to(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    small_config.update_from_flattened_dict(ASKED[name])
    experiment = build(small_config)
    program = make_program(experiment)
    state, _ = program.initialize(experiment)
    trained = make_trained(experiment, program, state)
    fields = experiment.config["evaluate"].get(name, {})
    monkeypatch.setattr(evaluate.interrupt, "requested", lambda: True)
    with pytest.raises(Interrupted, match="the training is saved"):
        answer(evaluate._evaluate(name, trained, fields, tmp_path, quiet=True))


def test_what_is_there_is_not_done_again(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.run(small_config, tmp_path)
    first = read(tmp_path / "results.json")
    small_config.evaluate.fitted_density.components = 2

    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("it is there")
        yield

    done = EVALUATIONS["bounds"]._replace(run=fail)
    monkeypatch.setitem(EVALUATIONS, "bounds", done)
    train.run(small_config, tmp_path)
    results = read(tmp_path / "results.json")
    assert results.keys() - first.keys() == {"latent/fitted2_nll_nats"}
    with pytest.raises(AssertionError, match="it is there"):
        evaluate.run(None, tmp_path)


def test_interrupted_the_rest_is_done_next_time(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> Any:
        raise Interrupted("stopped")

    small_config.evaluate.fitted_density.components = 2
    with monkeypatch.context() as patch:
        stopped = EVALUATIONS["fitted_density"]._replace(run=stop)
        patch.setitem(EVALUATIONS, "fitted_density", stopped)
        with pytest.raises(Interrupted):
            train.run(small_config, tmp_path)
    results = read(tmp_path / "results.json")
    assert "collapse" in results and "latent/fitted2_nll_nats" not in results
    monkeypatch.setattr(bounds, "evaluate_split", None)  # it is not needed again
    train.run(small_config, tmp_path)
    assert "latent/fitted2_nll_nats" in read(tmp_path / "results.json")
    assert (tmp_path / "images" / "samples_fitted.png").exists()

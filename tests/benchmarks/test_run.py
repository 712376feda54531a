import pytest

from benchmarks import (
    run,
)
from configs import default
from experiments.cells import override
from vae.types import UserError


def config_of(**fields):
    config = default.get_config("smoke")
    return override(config, {"runtime.num_devices": 1, "model.latent_dim": 7, **fields})


def test_without_pytorch_it_says_what_to_install(monkeypatch, tmp_path) -> None:
    def version(name: str) -> str:
        raise run.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(run.metadata, "version", version)
    with pytest.raises(UserError, match="pip install torch pythae"):
        run.run(config_of(), list, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ({"name": "W"}, "workloads"),
        ({"name": "W", "measure": "speed", "overrides": {}}, "train, sweep, nll"),
    ],
)
def test_bad_workloads_are_refused(monkeypatch, tmp_path, workload, message) -> None:
    monkeypatch.setattr(run.metadata, "version", lambda name: "1")
    with pytest.raises(UserError, match=message):
        run.run(config_of(), lambda: [workload], tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.prior.name": "vamp"}, "model.prior.name=vamp"),
        ({"objective.beta": 4.0}, "choose 1.0"),
        ({"model.encoder.normalization": "batch"}, "encoder.normalization=batch"),
        ({"optimizer.ema_decay": 0.9}, "optimizer.ema_decay=0.9"),
        ({"model.decoder.widths": (9,)}, "another model.decoder.widths"),
        ({"evaluate.bounds.importance_samples": 1_500}, "a multiple, or fewer"),
    ],
)
def test_what_others_do_not_have_is_refused(
    monkeypatch, tmp_path, changes, message
) -> None:
    monkeypatch.setattr(run.metadata, "version", lambda name: "1")
    workload = {"name": "W", "measure": "train", "overrides": changes}
    with pytest.raises(UserError, match=message):
        run.run(config_of(), lambda: [workload], tmp_path / "run")

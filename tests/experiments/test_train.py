"""A run in its folder: what it leaves, and what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import evaluate, origin, train, trained, workdir
from tests.experiments.conftest import Programs, make_small_config, sharing
from vae.training.loop import Interrupted
from vae.types import UserError

RESULTS = {
    "test/elbo_nats",
    "test/distortion_nats",
    "test/rate_nats",
    "test/nll_is3_nats",
    "test/nll_is3_stderr",
    "test/nll_is3_ess",
    "test/bits_per_dim",
    "latent/active_units",
    "latent/kl_per_dim",
    "train/steps",
    "train/seconds",
    "train/steps_per_second",
    "train/data_wait_share",
    "train/checkpoint_share",
    "objective/beta",
    "objective/beta_normalised",
}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory, programs: Programs) -> Path:
    """A run of `small_config`, not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with sharing(programs):
        train.run(make_small_config(), folder)
    return folder


@pytest.fixture
def trained_run(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of a run of `small_config`."""
    return Path(shutil.copytree(trained_once, tmp_path / "run"))


def test_what_a_run_leaves(small_config, tmp_path: Path, compilations) -> None:
    small_config.dataset.validation_size = 100
    small_config.train.evaluate_every = 15
    small_config.train.log_every = 7
    train.run(small_config, tmp_path)
    assert compilations("call") == 1  # for calls of 7, 3, 4, 1 and 5 steps
    results = read(tmp_path / "results.json")
    assert results.keys() >= RESULTS
    assert len(results["latent/kl_per_dim"]) == 4
    np.testing.assert_allclose(
        results["test/rate_nats"], sum(results["latent/kl_per_dim"]), rtol=1e-5
    )
    assert results["objective/beta_normalised"] == 4 / 784
    assert read(tmp_path / "config.json")["model"]["latent_dim"] == 4
    provenance = read(tmp_path / "provenance.json")
    assert len(provenance["data_sha256"]) == 64
    assert provenance["launches"][0]["packages"].keys() >= {"jax", "flax", "optax"}
    commit = provenance["launches"][0]["git_commit"]
    assert origin.short(commit) in (commit[:12], f"{commit[:12]}+changes")
    assert ("+" in origin.short(commit)) == ("+" in commit)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    metrics = {line["step"]: line for line in map(json.loads, lines)}
    assert list(metrics) == [7, 14, 15, 20]
    assert metrics[15].keys() == {"step", *trained.VALIDATION}
    assert metrics[7].keys() >= {"train/loss", "train/elbo_nats", "train/grad_norm"}
    for name in ("samples", "reconstructions"):
        with Image.open(tmp_path / f"images/{name}.png") as picture:
            assert picture.width > 400
    assert list(tmp_path.glob("events.out.*"))
    assert (tmp_path / "checkpoints/20").is_dir()


def without_measurements(results: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what depends on the machine's pace and memory."""
    measured = ("seconds", "second", "share", "mib")
    return {k: v for k, v in results.items() if not k.endswith(measured)}


@pytest.mark.slow
def test_launching_again_shows_the_results_and_changes_nothing(
    small_config, trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.read_bytes() for p in trained_run.rglob("*") if p.is_file()}
    small_config.runtime.steps_per_call = 7  # changes how, not what
    train.run(small_config, trained_run)
    after = {p: p.read_bytes() for p in trained_run.rglob("*") if p.is_file()}
    assert after == before
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.slow
def test_evaluating_again_with_more_samples(small_config, trained_run: Path) -> None:
    first = read(trained_run / "results.json")
    evaluate.run(None, trained_run)
    again = read(trained_run / "results.json")
    assert without_measurements(again) == without_measurements(first)
    small_config.evaluate.bounds.importance_samples = 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "evaluate_and_report", lambda *_, **__: 1 / 0)  # the kill
        with pytest.raises(ZeroDivisionError):
            train.run(small_config, trained_run)
    train.run(small_config, trained_run)  # does it the next time
    both = read(trained_run / "results.json")
    assert both["test/nll_is3_nats"] == first["test/nll_is3_nats"]
    # More samples, a tighter bound: larger by the noise of 5 samples at most.
    assert 0 < both["test/nll_is5_nats"] < first["test/nll_is3_nats"] + 0.1
    assert {k: both[k] for k in both if k.startswith("train/")} == {
        k: first[k] for k in first if k.startswith("train/")
    }
    evaluate.run(small_config, trained_run)
    anew = read(trained_run / "results.json")
    assert without_measurements(anew) == without_measurements(both)


@pytest.mark.slow
def test_the_validation_split_has_its_elbo(small_config, tmp_path: Path) -> None:
    """Of the same images the ELBO is the test split's, but for noise."""
    x = np.random.default_rng(0).random((60, 8, 8)) > 0.5
    np.savez(tmp_path / "data.npz", x_train=np.concatenate([x, x]), x_test=x)
    small_config.dataset.name = f"npz:{tmp_path}/data.npz"
    small_config.dataset.validation_size = 60
    train.run(small_config, tmp_path / "run")
    results = read(tmp_path / "run" / "results.json")
    error = results["test/elbo_stderr"]
    assert abs(results["validation/elbo_nats"] - results["test/elbo_nats"]) < 4 * error


@pytest.mark.slow
def test_evaluating_on_several_devices(small_config, trained_run: Path) -> None:
    first = read(trained_run / "results.json")
    small_config.runtime.num_devices = 4
    evaluate.run(small_config, trained_run)
    again = without_measurements(read(trained_run / "results.json"))
    for name, value in without_measurements(first).items():
        if isinstance(value, str):
            assert again[name] == value
        else:
            np.testing.assert_allclose(again[name], value, rtol=1e-5, err_msg=name)


def test_a_workdir_is_held_by_one_process(small_config, tmp_path: Path) -> None:
    with (
        workdir.locked(tmp_path),
        pytest.raises(UserError, match="in use by another process"),
    ):
        train.run(small_config, tmp_path)


@pytest.mark.slow
def test_a_folder_in_use_is_not_evaluated(trained_run: Path) -> None:
    """Opening the checkpoints clears what a save in progress has written so far."""
    with (
        workdir.locked(trained_run),
        pytest.raises(UserError, match="in use by another process"),
    ):
        evaluate.run(None, trained_run)


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "warnings"), [(1.0, 0), (1000.0, 1)])
def test_a_collapse_is_told_of_once_while_training(
    small_config,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    beta: float,
    warnings: int,
) -> None:
    monkeypatch.setattr(train, "SETTLED", 200)
    small_config.objective.beta = beta
    small_config.objective.annealing = "linear"
    small_config.objective.annealing_steps = 10.0
    small_config.train.steps = small_config.runtime.checkpoint_every = 300
    train.run(small_config, tmp_path)
    out = capsys.readouterr().out
    assert out.count("warning: the latent space") == warnings
    assert out.count("annealing=cyclical") >= warnings
    assert "annealing=linear" not in out  # it is in use
    verdict = read(tmp_path / "results.json")["collapse"]
    assert ("collapsed: the rate is 0.0" in verdict) == bool(warnings)


@pytest.mark.slow
def test_another_config_or_other_data_are_refused(small_config, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((40, 8, 8)) > 0.5
    np.savez(tmp_path / "data.npz", x_train=x, x_test=x)
    small_config.dataset.name = f"npz:{tmp_path}/data.npz"
    folder = tmp_path / "run"
    train.run(small_config, folder)
    small_config.objective.beta = 4.0
    with pytest.raises(UserError, match=r"objective.beta: 1.0 there, 4.0 now"):
        train.run(small_config, folder)
    small_config.objective.beta = 1.0
    np.savez(tmp_path / "data.npz", x_train=~x, x_test=x)
    with pytest.raises(UserError, match="other data under the same name"):
        train.run(small_config, folder)


@pytest.mark.slow
def test_a_run_older_than_a_field_is_taken_up(small_config, trained_run: Path) -> None:
    path = trained_run / "config.json"
    held = read(path)
    del held["objective"]["annealing"], held["evaluate"]["anomalies"], held["precision"]
    path.write_text(json.dumps(held))
    small_config.objective.annealing = "linear"
    with pytest.raises(UserError, match="annealing: constant there, linear now"):
        train.run(small_config, trained_run)
    evaluate.run(None, trained_run)
    assert read(path)["objective"]["annealing"] == "constant"


def test_evaluating_an_unfinished_run_is_refused(
    trained_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="holds no run"):
        evaluate.run(None, tmp_path)
    for step in ("10", "20"):
        (trained_run / "checkpoints" / step).rename(tmp_path / f"moved_{step}")
    with pytest.raises(UserError, match="not trained to its end"):
        evaluate.run(None, trained_run)


@pytest.mark.slow
def test_a_run_moves_between_device_counts_and_data_paths(
    small_config, tmp_path: Path
) -> None:
    """1 -> 4 -> 1 devices, resident -> stream -> pmap, against one whole run."""
    small_config.precision = "float64"
    small_config.train.steps = small_config.train.log_every = 30
    train.run(small_config, tmp_path / "whole")
    stages = [(10, 1, "jit", "resident"), (20, 4, "jit", "stream")]
    stages += [(30, 4, "pmap", "resident"), (30, 1, "jit", "resident")]
    for steps, num_devices, parallel, pipeline in stages:
        small_config.runtime.num_devices = num_devices
        small_config.runtime.parallel = parallel
        small_config.runtime.pipeline = pipeline
        _train_until(small_config, tmp_path / "moved", steps)
    whole, moved = (
        read(tmp_path / name / "results.json") for name in ("whole", "moved")
    )
    for name in RESULTS:
        if not name.startswith("train/"):
            np.testing.assert_allclose(moved[name], whole[name], atol=1e-9, rtol=1e-9)


def _train_until(config: Any, workdir: Path, step: int) -> None:
    """Trains as if the process were asked to stop once `step` is reached."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_make_should_stop", lambda stop: lambda now: now >= step)
        try:
            train.run(config, workdir)
        except Interrupted:
            assert step < config.train.steps

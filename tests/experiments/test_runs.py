"""Runs are opened where they are: old ones, moved ones, and ones without their data."""

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from configs import default
from experiments import evaluate, runs, score, train, workdir
from experiments.latents import run as latents
from tests.conftest import ROOT
from tests.experiments.conftest import Programs, make_small_config, sharing
from tests.experiments.test_interrupt import outcome
from vae.bind import Entry
from vae.fields import Weight
from vae.objectives import elbo
from vae.objectives.base import make_penalized
from vae.registry import OBJECTIVES
from vae.types import Metrics, UserError

# A run of the first release (commit ebd38ef), when checkpoints held the numbers of the
# config: configs/default.py:smoke on 60 + 20 images of 8x8 pixels, 10 for validation.
FIRST_RUN = ROOT / "tests/data/first_run"
FIRST_DATA = f"npz:{ROOT}/tests/data/first_run_data.npz"
EXACT = ("test/elbo_nats", "test/nll_is5_nats", "validation/elbo_nats")


@pytest.fixture
def first_run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIRST_RUN, tmp_path / "run"))


def read(folder: Path) -> dict[str, Any]:
    return workdir.read_json(folder / "results.json")


def assert_same_results(folder: Path) -> None:
    found, expected = read(folder), read(FIRST_RUN)
    for name in EXACT:
        assert found[name] == pytest.approx(expected[name], rel=1e-4)
    np.testing.assert_allclose(
        found["latent/kl_per_dim"], expected["latent/kl_per_dim"], rtol=1e-3
    )


@pytest.mark.slow
def test_the_first_run_is_evaluated_again(first_run: Path) -> None:
    (first_run / "results.json").unlink()
    evaluate.run(None, first_run, data=FIRST_DATA)
    assert_same_results(first_run)
    score.run(first_run, FIRST_DATA, 0.05)  # by the examples that are kept since
    assert list((first_run / "scores").glob("*.csv"))


@pytest.mark.slow
def test_the_first_run_is_resumed(first_run: Path) -> None:
    shutil.rmtree(first_run / "checkpoints/20")
    (first_run / "results.json").unlink()
    train.run(None, first_run, data=FIRST_DATA)
    assert_same_results(first_run)


@pytest.mark.slow
def test_the_first_run_is_read_by_a_config_with_a_new_number(
    first_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_config = default.get_config

    def penalty(
        *given: Any, beta: Weight = 1.0, renyi_alpha: Weight = 0.0
    ) -> tuple[Any, Metrics]:
        del renyi_alpha
        return elbo.beta_vae(*given, beta=beta)

    def with_new_number(mode: str = "") -> Any:
        config = get_config(mode)
        config.objective.renyi_alpha = 0.5
        config.evaluate.mood, config.dataset.sizes = "new", (1, 2)
        return config

    monkeypatch.setattr(default, "get_config", with_new_number)
    entry = Entry(make_penalized, {"penalty": penalty})
    monkeypatch.setitem(OBJECTIVES, "beta_vae", entry)
    opened = runs.open_run(first_run, data=FIRST_DATA)
    assert float(opened.state.hparams["renyi_alpha"]) == 0.5
    shutil.rmtree(first_run / "checkpoints/20")
    (first_run / "results.json").unlink()
    train.run(None, first_run, data=FIRST_DATA)
    assert_same_results(first_run)


@pytest.fixture(scope="module")
def trained_once(
    tmp_path_factory: pytest.TempPathFactory, programs: Programs
) -> tuple[Any, Path]:
    """The config and the folder of a run on a copy of the first run's data."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(FIRST_DATA.removeprefix("npz:"), folder / "data.npz")
    config = make_small_config()
    config.dataset.name, config.model.latent_dim = f"npz:{folder}/data.npz", 2
    with sharing(programs):
        train.run(config, folder / "run")
    return config, folder


@pytest.fixture
def own_run(trained_once: tuple[Any, Path], tmp_path: Path) -> Any:
    """The config of a run in `tmp_path / "run"` on `tmp_path / "data.npz"`."""
    config, folder = trained_once
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "run/config.json"
    path.write_text(path.read_text().replace(str(folder), str(tmp_path)))
    config = config.copy_and_resolve_references()
    config.dataset.name = f"npz:{tmp_path}/data.npz"
    return config


@pytest.mark.slow
@pytest.mark.usefixtures("short_fits")
def test_a_run_is_used_without_its_data(
    own_run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, data, folder = own_run, tmp_path / "data.npz", tmp_path / "run"
    with_data = runs.open_run(folder)
    data.rename(tmp_path / "moved.npz")
    capsys.readouterr()
    without = runs.open_run(folder)
    assert "the run's data are missing or changed" in capsys.readouterr().out
    jax.tree.map(
        np.testing.assert_array_equal, with_data.state.params, without.state.params
    )
    # All 60 and 20 images are few enough to be kept.
    np.testing.assert_array_equal(
        without.experiment.dataset.test.images, with_data.experiment.dataset.test.images
    )
    score.run(folder, f"npz:{tmp_path}/moved.npz", 0.05)
    assert len((folder / "scores").glob("*.csv").__next__().read_text().split()) == 21
    latents.run(folder)
    assert (folder / "latents.html").exists()
    with pytest.raises(UserError, match="no such file; if the data are elsewhere"):
        evaluate.run(None, folder)
    evaluate.run(None, folder, data=f"npz:{tmp_path}/moved.npz")
    held = workdir.config_of(folder).dataset.name
    assert held == f"npz:{data}"  # where they were when it was trained
    # The same data elsewhere are no other config: the run is done, and shown.
    config.dataset.name = f"npz:{tmp_path}/moved.npz"
    train.run(config, folder)
    assert "trained and evaluated already" in capsys.readouterr().out


@pytest.mark.slow
def test_few_kept_images_serve_a_larger_batch(
    own_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data, folder = own_run, tmp_path / "data.npz", tmp_path / "run"
    (folder / runs.EXAMPLES).unlink()
    for name in ("KEPT_IMAGES", "KEPT_ANYWAY"):
        monkeypatch.setattr(runs, name, 5)
    whole = runs.open_run(folder)
    evaluate.run(None, folder)  # keeps few
    data.unlink()
    few = runs.open_run(folder)
    assert few.experiment.dataset.train.size < config.dataset.batch_size
    jax.tree.map(np.testing.assert_array_equal, whole.state.params, few.state.params)
    # What a run is done with is shown without its data, but not another run.
    train.run(config, folder)
    config.seed = 1
    with pytest.raises(UserError, match="no such file"):
        train.run(config, folder)


@pytest.mark.slow
def test_a_mistake_is_not_taken_for_missing_data(own_run, tmp_path: Path) -> None:
    config = own_run
    config.evaluate.anomalies.ppca_components = 0
    with pytest.raises(
        UserError, match="ppca_components=0 must be an integer, 1 or more"
    ):
        runs.open_run(tmp_path / "run", config=config)


def test_examples_are_those_of_the_data(own_run, tmp_path: Path) -> None:
    experiment = runs.open_run(tmp_path / "run").experiment
    path = tmp_path / "run" / runs.EXAMPLES
    written = path.stat().st_mtime_ns
    own, _ = runs._origin(path) or ("", [])
    runs.keep_examples(tmp_path / "run", experiment, own)
    assert path.stat().st_mtime_ns == written
    of_ones = experiment.config["dataset"] | {"keep_labels": (1,)}
    changed = experiment._replace(config=experiment.config | {"dataset": of_ones})
    for other, of_data in (
        (changed, own),
        (experiment, own),
        (experiment, "of others"),
    ):
        before = path.stat().st_mtime_ns
        runs.keep_examples(tmp_path / "run", other, of_data)
        assert path.stat().st_mtime_ns > before


def test_other_data_elsewhere_are_refused(own_run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with np.load(tmp_path / "data.npz") as file:
        arrays = dict(file)
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(UserError, match=r"dataset.name: npz:.*data.npz there"):
        runs.open_run(folder, data=f"npz:{tmp_path}/other.npz")


@pytest.mark.slow
def test_a_run_trained_longer_equals_one_trained_at_once(
    small_config, tmp_path: Path
) -> None:
    for steps in (20, 40):
        small_config.train.steps = steps
        train.run(small_config, tmp_path / "longer")
    train.run(small_config, tmp_path / "at_once")
    assert outcome(tmp_path / "longer") == outcome(tmp_path / "at_once")
    small_config.train.steps = 30
    with pytest.raises(UserError, match=r"train.steps: 40 there, 30 now"):
        train.run(small_config, tmp_path / "longer")


@pytest.mark.slow
def test_a_cosine_schedule_is_not_prolonged(small_config, tmp_path: Path) -> None:
    small_config.optimizer.schedule.name = "cosine"
    train.run(small_config, tmp_path)
    small_config.train.steps = 40
    with pytest.raises(UserError, match="trained longer, but not if its schedule"):
        train.run(small_config, tmp_path)


@pytest.mark.parametrize(("text", "message"), [("[1]", "no config"), ("{", "not JSON")])
def test_a_damaged_config_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=message):
        runs.open_run(tmp_path)

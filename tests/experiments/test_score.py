"""Anomalies, from the configuration to results, and a user's own images."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import score, train
from experiments.failures import EvaluationError
from tests.experiments.conftest import Programs, make_small_config, sharing
from tests.experiments.test_train import read
from vae.build import build
from vae.data.sources import load
from vae.evaluation import anomaly
from vae.types import UserError


@pytest.fixture
def one_class(small_config) -> Any:
    """Threes, which other digits are to be told from."""
    small_config.dataset.keep_labels = (3,)
    small_config.evaluate.anomalies.source = "other_labels"
    return small_config


@pytest.mark.slow
def test_results_are_those_of_the_scores(one_class, tmp_path: Path) -> None:
    one_class.evaluate.anomalies.regret_images = 30
    one_class.train.steps = one_class.runtime.checkpoint_every = 100
    train.run(one_class, tmp_path)
    results = read(tmp_path / "results.json")
    scores = dict(np.load(tmp_path / "anomaly_scores.npz"))
    normal, anomalous = scores["normal/neg_elbo"], scores["anomalous/neg_elbo"]
    assert (len(normal), len(anomalous)) == (50, 450)
    pairs = np.sign(anomalous[:, None] - normal).mean() / 2 + 0.5
    assert results["anomaly/neg_elbo_auroc"] == pytest.approx(pairs)
    assert results["anomaly/ppca_auroc"] > 0.8
    assert np.isfinite(scores["normal/regret"]).sum() == 30
    # The mean of 50 images, each with noise and draws of pixels of its own.
    error = results["test/elbo_stderr"]
    assert abs(normal.mean() + results["test/elbo_nats"]) < 4 * error
    for name in ("scores", "false_alarms", "missed"):
        with Image.open(tmp_path / "images" / f"anomaly_{name}.png") as picture:
            assert picture.width > 700


@pytest.mark.slow
def test_scores_do_not_depend_on_the_batch(one_class, tmp_path: Path) -> None:
    got = []
    for size in (100, 33):
        one_class.runtime.evaluation_batch_size = size
        train.run(one_class, tmp_path / str(size))
        got.append(dict(np.load(tmp_path / str(size) / "anomaly_scores.npz")))
    for name, values in got[0].items():
        np.testing.assert_allclose(got[1][name], values, rtol=1e-4, err_msg=name)


def save_few(path: Path, count: int, side: int) -> str:
    random = np.random.default_rng(0)
    x_train, x_test = random.integers(0, 256, (2, count, side, side), np.uint8)
    np.savez(path, x_train=x_train, x_test=x_test)
    return f"npz:{path}"


@pytest.mark.slow
@pytest.mark.parametrize(("count", "side"), [(20, 12), (40, 5)])
def test_few_images_or_pixels_are_scored(
    small_config, tmp_path: Path, count: int, side: int
) -> None:
    """Fewer than the 32 components that the baseline has by default."""
    small_config.dataset.name = save_few(tmp_path / "few.npz", count, side)
    small_config.evaluate.anomalies.source = save_few(
        tmp_path / "other.npz", count, side
    )
    train.run(small_config, tmp_path / "run")
    assert 0 <= read(tmp_path / "run/results.json")["anomaly/ppca_auroc"] <= 1


@pytest.mark.slow
def test_an_evaluation_that_fails_leaves_the_others(
    one_class, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_class.evaluate.anomalies.source = ""
    train.run(one_class, tmp_path)
    assert "anomalies" not in read(tmp_path / "results.json")
    one_class.evaluate.anomalies.source = "other_labels"  # is asked for later

    def fail(*_: object, **__: object) -> None:
        raise ValueError("no such number")

    monkeypatch.setattr(anomaly, "score_by_others", fail)
    one_class.evaluate.fitted_density.components = 2
    with pytest.raises(EvaluationError, match=r"anomalies \(ValueError: no such numb"):
        train.run(one_class, tmp_path)
    results = read(tmp_path / "results.json")
    assert {"test/elbo_nats", "collapse", "latent/fitted2_nll_nats"} <= results.keys()
    assert "in fail" in (tmp_path / "failed_anomalies.txt").read_text()
    assert results["failed"].keys() == {"anomalies"}
    monkeypatch.undo()
    train.run(one_class, tmp_path)  # is tried again
    results = read(tmp_path / "results.json")
    assert results["anomalies"] == "other_labels"
    assert "failed" not in results
    assert not (tmp_path / "failed_anomalies.txt").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, programs: Programs) -> Path:
    """A run on digits."""
    folder = tmp_path_factory.mktemp("finished")
    with sharing(programs):
        train.run(make_small_config(), folder)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_folder_of_pictures_is_scored_whole(finished: Path, tmp_path: Path) -> None:
    test = load("mnist_5k").test
    pictures = np.concatenate([test.images[:30], 255 - test.images[:2]])
    for i, image in enumerate(pictures[..., 0]):
        Image.fromarray(image).save(tmp_path / f"{i:02d}.png")
    score.run(finished, f"images:{tmp_path}", 0.1)
    (path,) = (finished / "scores").glob(f"{tmp_path.name}_*.csv")
    rows = rows_of(path)
    assert [row["image"] for row in rows] == [f"{i:02d}.png" for i in range(32)]
    told = json.loads(path.with_suffix(".json").read_text())
    assert all(
        (float(row["neg_elbo"]) > told["threshold"]) == (row["is_anomaly"] == "1")
        for row in rows
    )
    assert rows[30]["is_anomaly"] == rows[31]["is_anomaly"] == "1"


@pytest.mark.slow
def test_the_runs_own_test_images_give_the_false_alarm_rate(finished: Path) -> None:
    score.run(finished, "mnist_5k", 0.1)
    rows = rows_of(finished / "scores" / "mnist_5k.csv")
    assert sum(row["is_anomaly"] == "1" for row in rows) == 50  # of 500


def save(path: Path, shape: tuple[int, ...], dtype: type = np.uint8) -> str:
    images = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    np.savez(path / "images.npz", x=images)
    return f"npz:{path}/images.npz"


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((4, 20, 20), np.uint8, "20 x 20 x 1, the model's 28 x 28 x 1"),
        ((0, 28, 28), np.uint8, "there are no examples"),
        ((4, 28, 28), np.float32, "its images are float32, the model's uint8"),
    ],
)
def test_images_that_the_model_cannot_see_are_refused(
    finished: Path, tmp_path: Path, shape: tuple, dtype: type, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        score.run(finished, save(tmp_path, shape, dtype), 0.1)


def test_a_rate_that_is_none_is_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="false_alarm_rate=1"):
        score.run(finished, save(tmp_path, (4, 28, 28)), 1.0)


def test_a_run_that_is_not_there_or_not_done_is_refused(
    finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="holds no run"):
        score.run(tmp_path, "mnist_5k", 0.1)
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run/checkpoints/20").rename(tmp_path / "moved")
    with pytest.raises(UserError, match="not trained to its end"):
        score.run(tmp_path / "run", "mnist_5k", 0.1)


def test_a_conditional_model_has_no_label_for_anomalies(one_class) -> None:
    one_class.model.condition = "label"
    with pytest.raises(UserError, match="model.condition=none"):
        build(one_class)


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("other_labels", (), "all labels are kept"),
        ("other_labels", tuple(range(10)), "all labels are kept"),
        ("sprites:16", (), "16 x 16 x 1, the model's 28 x 28 x 1"),
    ],
)
def test_anomalies_that_are_none_are_refused(
    small_config, name: str, labels: tuple, message: str
) -> None:
    small_config.evaluate.anomalies.source = name
    small_config.dataset.keep_labels = labels
    with pytest.raises(UserError, match=message):
        build(small_config)

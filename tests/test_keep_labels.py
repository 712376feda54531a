"""Runs on the images of some labels: each by itself, and all of them by one program."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import members, sweep, train
from tests.experiments.test_cells import cells_of
from tests.experiments.test_interrupt import outcome
from tests.experiments.test_members import final_params
from tests.experiments.test_sweep import rows_of
from vae.build import build, vary
from vae.data import sources
from vae.data.load import load_dataset
from vae.data.splits import Loaded, Split, keep_labels
from vae.types import UserError

DIGITS = "dataset.keep_labels=(3,),(5,),(8,)"


@pytest.mark.slow
def test_members_equal_their_solo_runs_and_share_one_program(
    small_config, tmp_path: Path, compilations
) -> None:
    cells = cells_of(small_config, DIGITS)
    sweep.run(cells, tmp_path / "sweep", executor="map")
    assert compilations("call") == compilations("evaluate_batch") == 1
    elbos = [row["test/elbo_nats"] for row in rows_of(tmp_path / "sweep")]
    assert len(set(elbos)) == 3
    train.run(cells[1].config, tmp_path / "alone")
    place = members.folder_of(cells[1], tmp_path / "sweep")
    assert outcome(tmp_path / "alone") == outcome(place)


@pytest.mark.slow
def test_together_they_agree_with_in_turn_in_float64(
    small_config, tmp_path: Path
) -> None:
    """Across epochs, which are 22 steps of a label's 450 images."""
    small_config.precision = "float64"
    small_config.train.steps = small_config.runtime.checkpoint_every = 50
    cells = cells_of(small_config, DIGITS)
    for executor in ("map", "vmap"):
        sweep.run(cells, tmp_path / executor, executor=executor)
    in_turn, together = (final_params(tmp_path / e, cells) for e in ("map", "vmap"))
    for left, right in zip(in_turn, together, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)
    tables = [rows_of(tmp_path / executor) for executor in ("map", "vmap")]
    for left, right in zip(*tables, strict=True):
        elbos = [float(row["test/elbo_nats"]) for row in (left, right)]
        np.testing.assert_allclose(*elbos, rtol=1e-9)


@pytest.mark.slow
def test_images_of_other_labels_change_nothing(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_config.dataset.keep_labels = (1, 4)
    small_config.dataset.validation_size = 100
    load = sources.load

    def others_replaced(*source: Any) -> Loaded:
        def replace(split: Split) -> Split:
            others = ~np.isin(split.labels, (1, 4))
            images = np.where(others[:, None, None, None], 255, split.images)
            return split._replace(images=images.astype(np.uint8))

        train, test, *_ = load(*source)
        return Loaded(replace(train), replace(test))

    vectors = []
    for name, source in (("digits", load), ("replaced", others_replaced)):
        monkeypatch.setattr(sources, "load", source)
        train.run(small_config, tmp_path / name)
        carry = outcome(tmp_path / name)
        vectors.append(carry)
    assert vectors[0] == vectors[1]
    dataset = build(small_config).dataset
    assert [s.size for s in dataset.splits.values()] == [880, 20, 100]
    assert all(set(s.labels) == {1, 4} for s in dataset.splits.values())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((3, 12), "no train example has the label 12; the labels are 0, 1"),
        (("a",), "a"),
    ],
)
def test_labels_that_are_not_there_are_refused(
    small_config, labels: tuple, message: str
) -> None:
    small_config.dataset.keep_labels = labels
    with pytest.raises(UserError, match=message):
        build(small_config)


@pytest.mark.parametrize("pipeline", ["resident", "stream"])
def test_a_rare_label_does_not_limit_the_batch_of_another(
    small_config, pipeline: str, tmp_path: Path
) -> None:
    """As of normal rows beside few anomalies, whose values change nothing."""
    x = np.random.default_rng(0).integers(256, size=(60, 8, 8, 1), dtype=np.uint8)
    y = np.repeat([0, 1], [50, 10])
    small_config.dataset.batch_size = 20
    small_config.runtime.pipeline = pipeline
    small_config.dataset.keep_labels = (0,)
    found = []
    for name in ("a", "b"):
        np.savez(tmp_path / name, x_train=x, x_test=x, y_train=y, y_test=y)
        small_config.dataset.name = f"npz:{tmp_path / name}.npz"
        train.run(small_config, tmp_path / f"run_{name}")
        found.append(outcome(tmp_path / f"run_{name}"))
        x[50:] = 0
    assert found[0] == found[1]
    experiment = build(small_config)
    small_config.dataset.keep_labels = (1,)
    is_large = r"training data \(10 examples of dataset.keep_labels=\(1,\)\)"
    with pytest.raises(UserError, match=is_large):
        build(small_config)
    with pytest.raises(UserError, match=is_large):
        vary(experiment, small_config)


@pytest.mark.slow
def test_few_examples_are_visited_again_on_every_path(
    small_config, tmp_path: Path
) -> None:
    """An epoch is 50 examples long, as label 0 has so many; -1 is kept by nobody."""
    x = np.random.default_rng(0).integers(256, size=(90, 8, 8, 1), dtype=np.uint8)
    y = np.repeat([0, 1, -1], [50, 20, 20])
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x, y_train=y, y_test=y)
    small_config.dataset.name = f"npz:{tmp_path / 'a.npz'}"
    small_config.dataset.batch_size = 15
    small_config.dataset.keep_labels = (1,)
    found = []
    for pipeline in ("resident", "stream"):
        small_config.runtime.pipeline = pipeline
        assert build(small_config).steps_per_epoch == 3
        train.run(small_config, tmp_path / pipeline)
        found.append(outcome(tmp_path / pipeline))
    assert found[0] == found[1]


def test_names_of_labels_are_offered(small_config, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,kind\n0,b\n1,a\n2,b\n3,a\n4,b\n")
    small_config.dataset.name = f"table:{tmp_path / 'a.csv'}"
    small_config.dataset.label_column = "kind"
    with pytest.raises(UserError, match=r"the labels are 0 \(a\), 1 \(b\)"):
        keep_labels(load_dataset(small_config), (2,))


def test_data_without_labels_are_refused(small_config, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(256, size=(40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x_train=images, x_test=images)
    small_config.dataset.name = f"npz:{tmp_path}/images.npz"
    small_config.dataset.keep_labels = (0,)
    with pytest.raises(UserError, match="have no labels"):
        build(small_config)

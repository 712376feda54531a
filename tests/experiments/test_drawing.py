"""Data whose factors are known: runs are scored, and traversals drawn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import evaluate, train, workdir
from experiments.program import make_program, own_model
from experiments.trained import make_trained
from tests.helpers.stores import Store, install, pictures, shuffled
from vae.build import build, operative
from vae.data import sources
from vae.data.factors import FactorSource
from vae.data.sprites import NAMES, Sprites
from vae.evaluation.disentanglement import evaluation
from vae.evaluation.disentanglement.evaluation import CodeTable
from vae.latents.traverse import QUANTILES
from vae.types import UserError


@pytest.fixture
def sprites_config(small_config, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two values of all factors but the shape: scores of forty take minutes."""

    def stored(factors: np.ndarray) -> Sprites:
        spread = factors * np.array([1, 5, 10, 31, 31])
        return Sprites(spread.astype(np.uint8), side=16)

    source = FactorSource(NAMES, (3, 2, 2, 2, 2), stored)
    monkeypatch.setattr(sources, "factor_source", lambda *_: source)
    small_config.dataset.name, small_config.dataset.binarize = "sprites:16", "none"
    small_config.runtime.evaluation_batch_size = 512
    return small_config


@pytest.mark.slow
def test_stored_images_with_factors_are_encoded(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store("dsprites", tmp_path, shuffled("dsprites"))
    install(store, monkeypatch, tmp_path)
    small_config.runtime.data_dir = "elsewhere"
    small_config.dataset.name, small_config.dataset.binarize = "dsprites", "none"
    small_config.model.likelihood.name = "continuous_bernoulli"
    small_config.evaluate.disentanglement.points = 8
    small_config.dataset.batch_size = 10
    experiment = build(small_config)
    assert set(store.opened) == {("dsprites", "elsewhere")}
    program = make_program(experiment)
    state, _ = program.initialize(experiment)
    factors = np.array([[2, 1, 3, 0, 2], [0, 0, 0, 1, 1]])
    model, variables = own_model(experiment, state)
    expected: Any = model.apply(variables, pictures(factors) / 255, method="encode")
    means = CodeTable(make_trained(experiment, program, state)).means(factors)
    np.testing.assert_allclose(means, expected.posterior.mean, atol=1e-5)
    small_config.dataset.binarize = "threshold"
    with pytest.raises(UserError, match="not binarize=threshold"):
        build(small_config)


@pytest.mark.slow
def test_a_run_is_scored_and_traversed(
    sprites_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sprites_config.evaluate.disentanglement.points = 60
    train.run(sprites_config, tmp_path)
    results = workdir.read_json(tmp_path / "results.json") or {}
    assert results["disentanglement/points"] == 60
    scores = {k: v for k, v in results.items() if k.startswith("disentanglement/")}
    for kind in ("means", "samples"):
        name = f"disentanglement/gaussian_total_correlation_of_{kind}_nats"
        assert scores[name] > 0
    assert {"factor_vae", "mig", "dci_disentanglement", "modularity", "sap"} <= {
        name.removeprefix("disentanglement/") for name in scores
    }
    for name in ("prior", "posterior"):
        assert (tmp_path / "images" / f"traversals_{name}.png").exists()
    with Image.open(tmp_path / "images" / "traversals.gif") as picture:
        # There and back, without showing the ends twice.
        frames = getattr(picture, "n_frames", 1)
        assert frames == 2 * len(QUANTILES) - 2
    assert evaluate.is_done(operative(sprites_config), tmp_path)
    # Neither the number of devices nor that of images at once moves a score.
    monkeypatch.setattr(evaluation, "BATCH", 7)
    sprites_config.runtime.num_devices, sprites_config.runtime.evaluation_batch_size = (
        1,
        100,
    )
    evaluate.run(sprites_config, tmp_path)
    again = workdir.read_json(tmp_path / "results.json") or {}
    assert {name: again[name] for name in scores} == pytest.approx(scores, rel=1e-5)
    sprites_config.evaluate.disentanglement.points = 80
    assert not evaluate.is_done(operative(sprites_config), tmp_path)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dataset.name": "mnist_5k"}, "whose factors are known"),
        ({"model.condition": "label"}, "without labels"),
        ({"dataset.keep_labels": (0,)}, "some labels only"),
        ({"model.posterior.name": "iaf"}, "diagonal Gaussian"),
    ],
)
def test_scores_of_what_has_none_are_refused(
    small_config, changes: dict[str, str], says: str
) -> None:
    small_config.dataset.name = "sprites:16"
    small_config.evaluate.disentanglement.points = 400
    small_config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=says):
        build(small_config)

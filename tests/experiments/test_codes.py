from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import codes, evaluate, train, workdir
from experiments.codes import CodeTable
from experiments.program import make_program, own_model
from tests.helpers.stores import Store, install, pictures, shuffled
from vae.build import build, operative
from vae.data import sources
from vae.data.factors import FactorSource, factors_at
from vae.data.sprites import NAMES, Sprites
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
    small_config.evaluate.batch_size = 512
    return small_config


def test_codes_are_posterior_means_and_computed_once(sprites_config) -> None:
    experiment = build(sprites_config)
    program = make_program(experiment)
    state, _ = program.initialize(experiment)
    table = CodeTable(experiment, program, state)
    assert experiment.factors is not None
    factors = factors_at(experiment.factors, np.array([7, 3, 7, 47, 0]))
    means = table.means(factors)
    model, variables = own_model(experiment, state)
    x = np.asarray(experiment.factors.stored(factors)) / np.float32(255)
    expected: Any = model.apply(variables, x, method="encode")
    np.testing.assert_allclose(means, expected.posterior.mean, atol=1e-5)
    table._encode = None  # it is not needed again
    np.testing.assert_array_equal(table.means(factors[::-1]), means[::-1])


def test_codes_are_drawn_from_the_posteriors(sprites_config) -> None:
    """48 images of 4 dimensions: standardised, they are normal. A mean of 192 has the
    standard error .07, their variance .10: within four of each."""
    experiment = build(sprites_config)
    program = make_program(experiment)
    state, _ = program.initialize(experiment)
    table = CodeTable(experiment, program, state)
    assert experiment.factors is not None
    factors = factors_at(experiment.factors, np.arange(48))
    model, variables = own_model(experiment, state)
    x = np.asarray(experiment.factors.stored(factors)) / np.float32(255)
    encoded: Any = model.apply(variables, x, method="encode")
    scale = np.sqrt(encoded.posterior.variance)
    noise = (table.draw(factors) - table.means(factors)) / scale
    assert noise.mean() == pytest.approx(0, abs=4 * 0.07)
    assert noise.var() == pytest.approx(1, abs=4 * 0.10)
    np.testing.assert_array_equal(table.draw(factors[5:9]), table.draw(factors)[5:9])


def test_stored_images_with_factors_are_encoded(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store("dsprites", tmp_path, shuffled("dsprites"))
    install(store, monkeypatch, tmp_path)
    small_config.runtime.data_dir = "elsewhere"
    small_config.dataset.name, small_config.dataset.binarize = "dsprites", "none"
    small_config.model.likelihood.name = "continuous_bernoulli"
    small_config.evaluate.factor_points = 8
    small_config.dataset.batch_size = 10
    experiment = build(small_config)
    assert set(store.opened) == {("dsprites", "elsewhere")}
    program = make_program(experiment)
    state, _ = program.initialize(experiment)
    factors = np.array([[2, 1, 3, 0, 2], [0, 0, 0, 1, 1]])
    model, variables = own_model(experiment, state)
    expected: Any = model.apply(variables, pictures(factors) / 255, method="encode")
    means = CodeTable(experiment, program, state).means(factors)
    np.testing.assert_allclose(means, expected.posterior.mean, atol=1e-5)
    small_config.dataset.binarize = "threshold"
    with pytest.raises(UserError, match="without dataset.binarize=threshold"):
        build(small_config)


def test_a_run_is_scored_and_traversed(
    sprites_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sprites_config.evaluate.factor_points = 60
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
    monkeypatch.setattr(codes, "BATCH", 7)
    sprites_config.runtime.num_devices, sprites_config.evaluate.batch_size = 1, 100
    evaluate.run(sprites_config, tmp_path)
    again = workdir.read_json(tmp_path / "results.json") or {}
    assert {name: again[name] for name in scores} == pytest.approx(scores, rel=1e-5)
    sprites_config.evaluate.factor_points = 80
    assert not evaluate.is_done(operative(sprites_config), tmp_path)


def test_runs_that_are_alike_agree(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=(500, 3))
    kl = [3.0, 2.0, 0.001]  # the last is not informative
    folders = []
    for name, z in (("a", first), ("b", -first), ("c", random.normal(size=(500, 3)))):
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        np.save(folders[-1] / codes.CODES_FILE, z)
        workdir.write_json(folders[-1] / "results.json", {"latent/kl_per_dim": kl})
    twins = codes.score_agreement(folders[:2])
    assert twins[0]["disentanglement/udr_spearman"] == pytest.approx(1, abs=0.2)
    assert twins[0]["disentanglement/udr_lasso"] == pytest.approx(0.9)
    stranger = codes.score_agreement(folders[::2])
    assert stranger[1]["disentanglement/udr_spearman"] < 0.2
    assert codes.score_agreement(folders[:1]) == [{}]
    (folders[0] / codes.CODES_FILE).unlink()
    assert codes.score_agreement(folders[:2]) == [{}, {}]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dataset.name": "mnist_5k"}, "factors of dataset.name=mnist_5k"),
        ({"model.condition": "label"}, "model.condition=none"),
        ({"dataset.keep_labels": (0,)}, "keep all labels"),
        ({"model.posterior.name": "iaf"}, "diagonal_gaussian"),
    ],
)
def test_scores_of_what_has_none_are_refused(
    small_config, changes: dict[str, str], says: str
) -> None:
    small_config.dataset.name = "sprites:16"
    small_config.evaluate.factor_points = 400
    small_config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=says):
        build(small_config)

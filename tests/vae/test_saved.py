"""Runs and exported models are opened for use, whichever the model."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import vae
from experiments import export, runs, train
from experiments.program import own_model
from tests.experiments.conftest import make_small_config, undrawn  # noqa: F401
from vae import saved
from vae.build import build
from vae.data.load import load_dataset
from vae.saved import read_json

KINDS: dict[str, dict[str, Any]] = {
    "padded": {
        "dataset.binarize": "dynamic",
        "model.likelihood.name": "bernoulli",
    },
    "mixture_of_convolutions": {
        "model.encoder.name": "conv",
        "model.decoder.name": "conv",
        "model.encoder.channels": (4,),
        "model.decoder.channels": (4,),
        "model.prior.name": "vamp",
        "model.prior.num_components": 3,
    },
    "conditional": {
        "model.condition": "label",
        "model.prior.name": "conditional_gaussian",
    },
    "flow": {"model.posterior.name": "iaf", "objective.name": "elbo"},
    "sphere": {
        "model.posterior.name": "von_mises_fisher",
        "model.prior.name": "uniform_on_sphere",
    },
    "discrete": {
        "model.posterior.name": "vector_quantized",
        "model.prior.name": "uniform_codes",
        "objective.name": "vq_vae",
    },
    "scaled_vectors": {"dataset.scale": "standardize"},
    "averaged": {"optimizer.ema_decay": 0.9},
}
EVALUATED = "scaled_vectors", "averaged"
COUNT = 60


@pytest.fixture
def data(kind: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (COUNT, 8, 8, 1), np.uint8), np.arange(COUNT) % 3
    if kind == "scaled_vectors":
        x = x.reshape(COUNT, -1).astype(np.float32)
    return {"x_train": x, "x_test": x[:20], "y_train": y, "y_test": y[:20]}


def train_small(kind: str, data: dict[str, np.ndarray], folder: Path) -> None:
    """Trains a run for two steps, and takes its data away. Of some kinds it is
    evaluated, too."""
    config = make_small_config()
    own = folder.with_suffix(".npz")
    np.savez(own, **data)
    config.update_from_flattened_dict(
        {
            "dataset.name": f"npz:{own}",
            "dataset.binarize": "none",
            "model.likelihood.name": "gaussian_shared",
            "train.steps": 2,
            **KINDS[kind],
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        if kind not in EVALUATED:
            patch.setattr(train, "evaluate_and_report", lambda *_, **__: None)
        train.run(config, folder)
    own.unlink()


def outputs(fitted: vae.FittedVAE, x: np.ndarray, label: Any) -> list[np.ndarray]:
    """All that a model is asked, as arrays."""
    codes = fitted.encode(x, label)
    asked = [
        *codes,
        fitted.decode(fitted.encode(x, label).mean, label),
        fitted.reconstruct(x, label),
        fitted.sample(jax.random.key(3), len(x), label),
        *fitted.log_prob(x, 5, label),
    ]
    if fitted.model.space != vae.models.base.CODES:
        ends = (x[0], x[1], 3, None if label is None else label[0])
        asked.append(fitted.interpolate(*ends))
    return [np.asarray(array) for array in asked]


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_run_and_its_export_give_the_same_bits_without_data(
    kind: str, data: dict[str, np.ndarray], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    train_small(kind, data, folder)
    export.run(folder, tmp_path / "export", license="cc0-1.0")
    x, label = data["x_test"], data["y_test"]
    given = label if kind == "conditional" else None
    of_run = outputs(vae.load(folder), x, given)
    moved = Path(shutil.move(tmp_path / "export", tmp_path / "elsewhere"))
    shutil.move(folder, tmp_path / "away")
    of_export = outputs(vae.load(moved), x, given)
    for a, b in zip(of_run, of_export, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a).all()
    assert read_json(moved / "config.json")["data"]["shape"] == [*x.shape[1:]]
    if kind == "scaled_vectors":  # means are in the units of the data
        assert 80 < of_run[2].mean() < 180
        results: Any = read_json(tmp_path / "away" / "results.json")
        shift = -np.log(data["x_train"].std(0)).sum()
        for name in ("elbo", "nll_is3"):
            sign = -1 if name == "elbo" else 1
            units = (
                results[f"test/{name}_nats"] - results[f"test/{name}_data_units_nats"]
            )
            np.testing.assert_allclose(sign * units, shift, rtol=1e-2)
    assert "license: cc0-1.0" in (moved / "README.md").read_text()
    if kind == "mixture_of_convolutions":
        opened = runs.open_run(tmp_path / "away")
        model, variables = own_model(opened.experiment, opened.state)
        encoded: Any = model.apply(variables, x / np.float32(255), method="encode")
        np.testing.assert_allclose(of_run[0], encoded.posterior.mean, atol=1e-6)


def test_names_of_labels_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,kind\n0,b\n1,a\n2,b\n3,a\n4,b\n")
    config = make_small_config()
    config.dataset.name = f"table:{tmp_path / 'a.csv'}"
    config.dataset.label_column = "kind"
    dataset = load_dataset(config)
    config.model.condition, config.dataset.batch_size = "label", 2
    config.model.likelihood.name = "per_column"
    facts = json.loads(json.dumps(saved.facts_of(build(config, dataset=dataset))))
    blank = dataset._replace(columns=(), label_names=()).map(lambda split: split[:1])
    known = saved.with_facts(blank, facts)
    assert known.count_labels() == dataset.count_labels() != blank.count_labels()
    assert known.label_names == dataset.label_names == ("a", "b")
    assert known.columns == dataset.columns


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(vae.UserError, match="no config.json"):
        vae.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(vae.UserError, match="is not JSON"):
        vae.load(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["averaged"])
def test_a_run_is_opened_with_its_average(
    kind: str, data: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Its bounds, by other samples, are those that its evaluation has found."""
    train_small(kind, data, tmp_path / "run")
    export.run(tmp_path / "run", tmp_path / "export", license="cc0-1.0")
    last, average = (vae.load(tmp_path / "run", ema=ema) for ema in (False, True))
    results: Any = read_json(tmp_path / "run" / "results.json")
    for fitted, name in ((last, "test"), (average, "test/ema")):
        found = fitted.bounds(data["x_test"], 100)
        elbo = -float((found.distortion + found.rate).mean())
        assert results[f"{name}/elbo_nats"] == pytest.approx(elbo, rel=1e-2)
    opened = runs.open_run(tmp_path / "run")
    _, variables = own_model(opened.experiment, opened.state.averaged)
    jax.tree.map(np.testing.assert_array_equal, average.variables, variables)
    with pytest.raises(vae.UserError, match="exported model holds the last weights"):
        vae.load(tmp_path / "export", ema=True)
    train_small("padded", data, tmp_path / "other")
    with pytest.raises(vae.UserError, match="trained with optimizer.ema_decay=0"):
        vae.load(tmp_path / "other", ema=True)

"""What is evaluated, and when; log p(x) by annealing, from a configuration on."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from configs import default
from experiments import evaluate, members, sweep, train
from experiments.workdir import write_json
from tests.experiments.test_cells import cells_of
from tests.experiments.test_interrupt import outcome
from tests.experiments.test_train import read
from tests.helpers.counts import COUNTS, save_colours, save_counts
from tests.helpers.tables import use_table
from tests.helpers.trained import untrained
from vae.build import build
from vae.evaluation import bounds, log_likelihood
from vae.evaluation.ais import make_annealed_bounds
from vae.evaluation.registry import EVALUATIONS
from vae.registry import LIKELIHOODS
from vae.training.loop import Interrupted
from vae.types import Unsupported, UserError

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


@pytest.mark.sampled(1)
@pytest.mark.parametrize("name", ASKED)
def test_each_stops_between_batches_when_it_is_asked_to(
    small_config, tmp_path: Path, name: str
) -> None:
    small_config.update_from_flattened_dict(ASKED[name])
    experiment = build(small_config)
    trained = untrained(small_config)
    fields = experiment.config["evaluate"].get(name, {})
    how: Any = {"quiet": True, "stop": lambda: True}
    with pytest.raises(Interrupted, match="the training is saved"):
        evaluate._evaluate(name, trained, fields, tmp_path, **how)


@pytest.mark.slow
def test_what_is_there_is_not_done_again(
    small_config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.run(small_config, tmp_path)
    first = read(tmp_path / "results.json")
    small_config.evaluate.fitted_density.components = 2

    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("it is there")

    done = EVALUATIONS["bounds"]._replace(run=fail)
    monkeypatch.setitem(EVALUATIONS, "bounds", done)
    train.run(small_config, tmp_path)
    results = read(tmp_path / "results.json")
    assert results.keys() - first.keys() == {"latent/fitted2_nll_nats"}
    with pytest.raises(AssertionError, match="it is there"):
        evaluate.run(None, tmp_path)


@pytest.mark.slow
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


FIELD = "evaluate.ais.steps"


def save(path: Path, train_images: np.ndarray, test_images: np.ndarray) -> str:
    """Writes images, of three labels in turn, and returns the name of the data set."""
    parts = {"train": train_images, "test": test_images}
    arrays = {f"x_{name}": images for name, images in parts.items()}
    labels = {f"y_{name}": np.arange(len(x)) % 3 for name, x in parts.items()}
    np.savez(path / "data.npz", **arrays, **labels)
    return f"npz:{path}/data.npz"


def tiny_config(data: str) -> Any:
    config = default.get_config("smoke")
    config.runtime.num_devices = 1
    config.dataset.name, config.dataset.batch_size = data, 20
    config.model.latent_dim = 2
    config.model.encoder.widths = config.model.decoder.widths = ()
    config.evaluate.ais.images, config.evaluate.ais.steps = 6, 4
    return config


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model of 2x2 bytes, of which six images are annealed at a few temperatures."""
    few = {"num_steps": 10, "num_samples": 2, "evaluation_samples": 10}
    wanted = log_likelihood.OPTIMISATION | few
    monkeypatch.setattr(log_likelihood, "OPTIMISATION", wanted)
    images = np.random.default_rng(0).integers(0, 256, (40, 2, 2), np.uint8)
    return tiny_config(save(tmp_path, images, images[:13]))


@pytest.mark.slow
def test_asking_for_other_numbers_replaces_all_of_them(
    tiny, tmp_path: Path, undrawn: None
) -> None:
    asked, folder = tiny.evaluate, tmp_path / "run"
    train.run(tiny, folder)
    assert evaluate.is_done(tiny.to_dict(), folder)
    first = read(folder / "results.json")
    for group, field, value in (
        (asked.ais, "images", 5),
        (asked.ais, "steps", 3),
        (asked.bounds, "importance_samples", 4),
    ):
        was, group[field] = group[field], value
        assert not evaluate.is_done(tiny.to_dict(), folder)
        group[field] = was
    asked.ais.images, asked.bounds.importance_samples = 13, 4
    of_other_samples = {"latent/mean_variance_error": [7.0]}  # here they are known
    write_json(folder / "results.json", {**first, **of_other_samples})
    train.run(tiny, folder)
    results = read(folder / "results.json")
    assert not of_other_samples.keys() & results.keys()
    assert results["ais/images"] == 13
    # All test images, of the same noise, by the model without its padding.
    for key in ("nll_is4_nats", "nll_is4_stderr"):
        assert results[f"ais/{key}"] == pytest.approx(results[f"test/{key}"], rel=1e-4)
    assert results["test/nll_is2_nats"] == first["test/nll_is2_nats"]
    assert {n.replace("is2", "is4") for n in first} <= results.keys()
    assert not any(n.startswith("ais/") and "is2" in n for n in results)


@pytest.mark.slow
def test_members_of_a_sweep_share_the_programs(
    tiny, tmp_path: Path, compilations, undrawn: None
) -> None:
    cells = cells_of(tiny, "seed=0,1")
    sweep.run(cells, tmp_path / "sweep", executor="map")
    assert compilations("observe") == compilations("simulate") == 1
    train.run(cells[1].config, tmp_path / "alone")
    place = members.folder_of(cells[1], tmp_path / "sweep")
    assert outcome(tmp_path / "alone") == outcome(place)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"condition": "label", "prior.name": "conditional_gaussian"},
        {
            "posterior.name": "full_gaussian",
            "prior.name": "realnvp",
            "prior.num_layers": 1,
        },
    ],
    ids=lambda changes: changes["prior.name"],
)
def test_other_models_are_annealed(tiny, tmp_path: Path, changes: dict) -> None:
    tiny.model.update_from_flattened_dict(changes)
    tiny.precision = "bfloat16"
    fields = build(tiny).config["evaluate"]["ais"]
    how: Any = {"quiet": True, "stop": lambda: False}
    known = evaluate._evaluate("ais", untrained(tiny), fields, tmp_path, **how)
    assert {name.partition("/")[0] for name in known} == {"ais"}
    assert np.isfinite([*known.values()]).all()
    is_diagonal = "posterior.name" not in changes
    assert ("ais/approximation_gap_nats" in known) == is_diagonal


@pytest.mark.slow
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_simulated_images_are_such_as_the_likelihood_describes(
    tiny, name: str, tmp_path: Path
) -> None:
    tiny.model.likelihood.name = name
    if name in COUNTS:
        tiny.dataset.name, tiny.dataset.batch_size = save_counts(tmp_path / "a.npz"), 8
    if name.endswith("_rgb"):
        tiny.dataset.name = save_colours(tmp_path / "a.npz")
        tiny.dataset.batch_size = 8
    if name == "per_column":
        use_table(tiny, tmp_path / "a.csv")
    if name != "bernoulli":
        tiny.dataset.binarize = "none"
    experiment = build(tiny)
    model, _ = experiment.make_own(2)
    keys = jax.random.split(jax.random.key(0), 6)
    x, _ = experiment.dataset.test[:6]
    x = experiment.preprocess(x, keys)
    variables = model.init(jax.random.key(1), x, keys)
    bounds = make_annealed_bounds(model, np.array([0.0, 1.0]), num_chains=2)
    simulated, _ = bounds.simulate(variables, None, keys)
    assert simulated.shape == x.shape and simulated.dtype == x.dtype
    assert model.likelihood.supports(np.asarray(simulated))


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [("von_mises_fisher", "uniform_on_sphere"), ("vector_quantized", "uniform_codes")],
)
def test_codes_that_gradients_cannot_move_are_refused(
    tiny, posterior: str, prior: str
) -> None:
    tiny.model.posterior.name, tiny.model.prior.name = posterior, prior
    with pytest.raises(
        UserError, match=r"discrete or on the sphere; set evaluate\.ais\.images=0"
    ):
        build(tiny)
    tiny.evaluate.ais.images, tiny.evaluate.ais.steps = 0, 1_000
    model = build(tiny).model
    with pytest.raises(Unsupported, match="codes in the reals"):
        make_annealed_bounds(model, np.array([0.0, 1.0]), num_chains=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluate.ais.images": 14}, "more than the 13 test images"),
        ({"evaluate.ais.images": -1}, "images=-1 must be an integer, 0 or more"),
        ({FIELD: 0}, "steps=0 must be an integer, 2 or more"),
        ({FIELD: 1}, "2 or more"),
        (
            {"evaluate.ais.images": 0},
            f"nothing reads {FIELD}=4 while evaluate.ais.images=0",
        ),
        ({"dataset.keep_labels": (1,)}, "more than the 4 test images"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(tiny, changes, message: str) -> None:
    tiny.dataset.batch_size = 10
    tiny.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=message):
        build(tiny)

"""Every config is an experiment. Every posterior, prior and likelihood of a config
trains, evaluates and draws, on the small digits."""

import importlib
import inspect
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs import default
from experiments import table_plan, train
from experiments.cells import make_cell
from experiments.workdir import read_json
from tests.conftest import ROOT
from tests.helpers.counts import COUNTS
from tests.helpers.tables import use_table
from vae.build import build, operative
from vae.data.sources import mnist_5k
from vae.evaluation import latent
from vae.evaluation.registry import EVALUATIONS
from vae.fields import fields_of

NAMES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "configs").glob("**/*.py")
    if path.stem != "__init__"
)


def load(name: str) -> Any:
    config = importlib.import_module(name).get_config("smoke")
    config.runtime.num_devices = 1
    is_sprites = config.dataset.name.startswith("sprites")
    config.dataset.name = "sprites:16" if is_sprites else "mnist_5k"
    config.dataset.validation_size, config.dataset.resize = 0, ()
    config.dataset.scale, config.dataset.missing = "none", "refuse"
    config.evaluate.imputation.hide = config.evaluate.chow_liu.pseudocount = 0.0
    # Factors and anomalies have tests of their own.
    config.evaluate.disentanglement.points = config.evaluate.anomalies.regret_images = 0
    config.dataset.keep_labels, config.evaluate.anomalies.source = (), ""
    config.dataset.batch_size = 20
    config.runtime.evaluation_batch_size = 500
    return config


def fitting(config: Any, folder: Path) -> Any:
    """The config with data that its likelihood takes: digits, their bytes as counts,
    colours of 32x32 pixels, or a table."""
    if config.model.likelihood.name in COUNTS:
        train, test = (np.float32(split.images) for split in mnist_5k())
        np.savez(folder / "digits.npz", x_train=train[:1_000], x_test=test)
        config.dataset.name = f"npz:{folder}/digits.npz"
    if config.model.likelihood.name.endswith("_rgb"):
        x = np.random.default_rng(0).integers(0, 256, (500, 32, 32, 3), np.uint8)
        np.savez(folder / "colours.npz", x_train=x, x_test=x)
        config.dataset.name = f"npz:{folder}/colours.npz"
    if config.model.likelihood.name == "per_column":
        use_table(config, folder / "table.csv", rows=2_500, missing=0.1)
        config.dataset.missing = "observed_only"
    return config


def pairs() -> list[tuple[str, str]]:
    """Configs that have, between them, the posteriors, priors and likelihoods of all:
    of one the codes, of the other the likelihood, where both take digits."""
    codes: dict[Any, str] = {}
    likelihoods: dict[str, str] = {}
    for name in NAMES:
        model = operative(load(name))["model"]
        codes.setdefault((model["posterior"]["name"], model["prior"]["name"]), name)
        likelihoods.setdefault(model["likelihood"]["name"], name)
    del codes["diagonal_gaussian", "standard_normal"], likelihoods["bernoulli"]
    # `test_trained.py` runs a smaller model of this one.
    del likelihoods["discretized_logistic_mixture_rgb"]
    own = {*COUNTS, "per_column"} & likelihoods.keys()  # data
    alone = [likelihoods.pop(likelihood) for likelihood in sorted(own)]
    left = itertools.zip_longest(codes.values(), likelihoods.values())
    return [*((c or n, n or c) for c, n in left), *((name, name) for name in alone)]


WITH_TABLE = [n for n in NAMES if hasattr(importlib.import_module(n), "table")]


@pytest.mark.parametrize("mode", ["", "smoke"])
@pytest.mark.parametrize("name", WITH_TABLE)
def test_tables_plan_cells_that_differ(name: str, mode: str) -> None:
    module = importlib.import_module(name)
    takes_mode = inspect.signature(module.table).parameters
    plan = table_plan.check_plan(module.table(mode) if takes_mode else module.table())
    config = module.get_config(mode)
    ids = {make_cell(config, (row["overrides"],)).id for row in plan["rows"]}
    assert len(ids) == len(plan["rows"])


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", NAMES)
def test_every_config_is_an_experiment(name: str, tmp_path: Path) -> None:
    """Its loss is traced, and it is refused if parts do not fit."""
    assert build(fitting(load(name), tmp_path)).metric_names


# Evaluation knows neither the objective nor the networks.
@pytest.mark.sampled(1)
@pytest.mark.parametrize(("name", "likelihood"), pairs())
def test_smoke(
    name: str, likelihood: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent, "MOST", 100)  # more are slow in unoptimised programs
    config, other = load(name), load(likelihood)
    config.model.likelihood.update(other.model.likelihood)
    config.dataset.binarize = other.dataset.binarize
    config = fitting(config, tmp_path)
    train.run(config, tmp_path)
    results = read_json(tmp_path / "results.json") or {}
    assert results["train/steps"] == 20
    assert results["test/images"] == (2048 if "sprites" in name else 500)
    picture = "columns" if config.model.likelihood.name == "per_column" else "samples"
    assert (tmp_path / "images" / f"{picture}.png").exists()


def test_smoke_anneals_briefly() -> None:
    config = default.get_config()
    config.evaluate.ais.images = 1_000
    default.finish(config, "smoke")
    assert config.evaluate.ais.images * config.evaluate.ais.steps <= 40


@pytest.mark.parametrize(
    "name", [n for n in NAMES if ".papers." in n and n not in WITH_TABLE]
)
def test_a_paper_is_a_short_file_that_names_it(name: str) -> None:
    text = (ROOT / f"{name.replace('.', '/')}.py").read_text()
    assert len(text.splitlines()) <= 30
    assert "arXiv" in text.split('"""')[1] or "ICLR" in text.split('"""')[1]


def test_evaluations_have_the_fields_of_the_configuration() -> None:
    groups = operative(default.get_config())["evaluate"]
    fields = {
        name: {field: f.default for field, f in fields_of(evaluation.run).items()}
        for name, evaluation in EVALUATIONS.items()
    }
    assert {name: group for name, group in fields.items() if group} == groups
    for name, evaluation in EVALUATIONS.items():
        assert evaluation.is_on(fields[name]) == (evaluation.switch is None)

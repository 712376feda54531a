"""What evaluations are given of a population, and of each of its runs."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import vae
from configs import default
from experiments import train, workdir
from experiments.latents import editing, subject
from experiments.latents import run as latents
from experiments.program import make_program
from experiments.trained import VALIDATION, TrainedRuns, causes, make_trained
from tests.helpers import training
from vae.build import build, vary
from vae.data.sources import mnist_5k
from vae.evaluation.collapse import CYCLICAL, FREE_BITS, LOWER_BETA, WARM_UP
from vae.training.state import stack_runs


@pytest.mark.slow
def test_runs_of_a_population_have_the_bounds_of_each_alone(small_config) -> None:
    small_config.dataset.validation_size = 40
    first = build(small_config)
    program = make_program(first)
    small_config.seed = 1
    runs = [first, vary(first, small_config)]
    carries = [program.initialize(run) for run in runs]
    states = [state for state, _ in carries]
    population, _ = stack_runs(carries)
    population = TrainedRuns(runs, program, population)
    together = [population.trained(run) for run in range(2)]
    split = first.dataset.validation
    bounds = [t.bounds(split, "validation", 1, lambda n: None) for t in together]
    for run, state, found, trained in zip(runs, states, bounds, together, strict=True):
        alone = make_trained(run, program, state)
        expected = alone.bounds(split, "validation", 1, lambda n: None)
        for left, right in zip(
            jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
        ):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4)
        jax.tree.map(np.testing.assert_array_equal, trained.variables, state.variables)
    metrics = population.validate()
    assert [m.keys() for m in metrics] == [set(VALIDATION)] * 2
    assert metrics[0] != metrics[1]  # of two seeds


@pytest.mark.parametrize(
    ("changes", "excluded"),
    [
        ({}, []),
        ({"objective.annealing": "linear"}, [WARM_UP]),
        ({"objective.annealing": "cyclical"}, [CYCLICAL]),
        ({"objective.name": "free_bits"}, [FREE_BITS]),
        ({"objective.name": "iwae"}, [WARM_UP, CYCLICAL, LOWER_BETA]),
        (
            {
                "model.name": "chain",
                "model.groups": (2,),
                "model.group_widths": (4,),
            },
            [FREE_BITS],
        ),
    ],
)
def test_remedies_that_are_in_use_or_cannot_be_are_excluded(
    small_config, changes: dict[str, Any], excluded: list[str]
) -> None:
    small_config.update_from_flattened_dict(changes)
    found = causes(build(small_config))
    assert found == {"beta": 1.0, "has_fixed_variance": False, "excluded": excluded}


@pytest.mark.slow
@pytest.mark.usefixtures("short_fits")
@pytest.mark.parametrize("name", ["chain", "ladder"])
def test_groups_are_trained_evaluated_and_used(
    small_config, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config.copy_and_resolve_references()
    config.model.name, config.model.groups, config.model.group_widths = name, (3,), (8,)
    config.evaluate.fitted_density.components = 2
    config.evaluate.ais.images, config.evaluate.ais.steps = 4, 3
    train.run(config, tmp_path)
    results = workdir.read_results(tmp_path)
    rates = results["latent/rate_per_group_nats"]
    assert sum(rates) == pytest.approx(results["test/rate_nats"])
    units = results["latent/active_units_per_group"]
    assert sum(units) == results["latent/active_units"]
    assert len(results["latent/mean_variance"]) == 4 + 3
    assert len(results["latent/decoder_sensitivity"]) == 4 + 3
    # A rate of a chain is no sum of divergences over dimensions.
    assert ("latent/kl_per_dim" in results) == (name == "ladder")
    assert "failed" not in results and results["ais/nll_nats"] > 0
    assert results["objective/beta_normalised"] == pytest.approx(7 / 784)
    fitted = vae.load(tmp_path)
    x = mnist_5k()[1].images[:5]
    codes = fitted.encode(x)
    assert codes.mean.shape == (5, 7)
    assert fitted.decode(codes.mean).shape == fitted.reconstruct(x).shape
    assert fitted.sample(jax.random.key(0), 3).shape == (3, 28, 28, 1)
    if name == "chain":
        return
    monkeypatch.setattr(subject, "MOST_TRAIN", 500)
    monkeypatch.setattr(editing, "EDITED", 20)
    latents.run(tmp_path)
    page = (tmp_path / "latents.html").read_text()
    assert "What each group holds" in page and "could not be computed" not in page
    change = workdir.read_json(tmp_path / "latents" / "results.json")["groups/change"]
    assert len(change) == 2 and min(change) > 0


@pytest.mark.slow
def test_a_very_deep_vae_is_trained_evaluated_and_used(
    small_config, tmp_path: Path
) -> None:
    """In calls of other lengths it trains alike."""
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), np.uint8)
    np.savez(tmp_path / "colours.npz", x_train=images, x_test=images[:30])
    config = small_config.copy_and_resolve_references()
    config.dataset.name = f"npz:{tmp_path}/colours.npz"
    config.model = default.get_config().model
    model = config.model
    model.name, model.latent_dim = "top_down", 2
    model.encoder.name, model.decoder.name = "bottom_up", "top_down"
    model.encoder.width = model.decoder.width = 8
    model.encoder.layers, model.decoder.layers = "4d2,2d2,1x1", "1x1,2m1,4m2"
    model.likelihood.name = "discretized_logistic_mixture_rgb"
    train.run(config, tmp_path / "run")
    results = workdir.read_results(tmp_path / "run")
    assert "failed" not in results
    rates = results["latent/rate_per_group_nats"]
    assert len(rates) == 3 and min(rates) >= 0
    assert sum(rates) == pytest.approx(results["test/rate_nats"])
    units = results["latent/active_units_per_group"]
    assert sum(units) == results["latent/active_units"]
    assert len(results["latent/kl_per_dim"]) == 2 * (16 + 4 + 1)
    assert len(results["latent/decoder_sensitivity"]) == 42
    assert min(results["latent/decoder_sensitivity"]) > 0
    assert results["objective/beta_normalised"] == pytest.approx(42 / 48)
    fitted = vae.load(tmp_path / "run")
    codes = fitted.encode(images[:5])
    assert codes.mean.shape == (5, 42)
    assert fitted.decode(codes.mean).shape == fitted.reconstruct(images[:5]).shape
    assert fitted.sample(jax.random.key(0), 3).shape == (3, 4, 4, 3)
    parts, _ = training.train(config, calls=[7, 13])
    training.assert_equal(fitted.variables["params"], parts.params["model"])

"""Annealed bounds of a run, from the configuration to results: a linear model's against
its exact log p(x)."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats

from configs import default
from experiments import evaluate, members, sweep, train
from experiments.program import own_model
from experiments.runs import open_run
from tests.experiments.test_cells import cells_of
from tests.experiments.test_faults import outcome
from tests.experiments.test_train import read
from tests.helpers import linear_gaussian as exact
from vae.build import build
from vae.evaluation import log_likelihood
from vae.evaluation.ais import ACCEPTANCE, make_annealed_bounds
from vae.registry import LIKELIHOODS
from vae.types import Unsupported, UserError

COUNT, SAMPLES, STEPS = 50, 200, 200  # of the linear run
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


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run of a linear model whose posteriors are correlated."""
    folder = tmp_path_factory.mktemp("linear")
    images = exact.images(400 + COUNT)[..., 0]
    config = tiny_config(save(folder, images[:400], images[400:]))
    config.dataset.binarize = "none"
    config.model.likelihood.name, config.model.likelihood.scale = "gaussian", 0.3
    config.optimizer.learning_rate = 0.02
    config.train.steps = config.runtime.steps_per_call = config.train.log_every = 40
    config.evaluate.bounds.importance_samples = SAMPLES
    config.evaluate.ais.images, config.evaluate.ais.steps = COUNT, STEPS
    train.run(config, folder / "run")
    return folder / "run"


class Known:
    """What there is to know of the run's model and test images, in closed form."""

    def __init__(self, folder: Path):
        experiment, _, state, _ = open_run(folder)
        model, variables = own_model(experiment, state)
        bounds = make_annealed_bounds(model, np.array([0.0, 1.0]), num_chains=1)
        keys = log_likelihood._keys(state.seed, "simulated", np.arange(COUNT))
        simulated, _ = bounds.simulate(variables, None, keys)
        params = jax.tree.map(np.float64, variables["params"])
        x = np.float64(experiment.dataset.test.images).reshape(COUNT, 4)
        output, head = params["decoder"]["output"], params["posterior"]
        weights, scale = output["kernel"].T, 0.3
        covariance = weights @ weights.T + scale**2 * np.eye(4)
        density = stats.multivariate_normal(output["bias"], covariance)
        self.log_p = density.logpdf(x)
        self.log_p_simulated = density.logpdf(simulated.reshape(COUNT, 4))
        mean = x @ head["mean"]["kernel"] + head["mean"]["bias"]
        variance = head["log_variance"]
        variance = np.exp(x @ variance["kernel"] + variance["bias"])
        self.precision = np.eye(2) + weights.T @ weights / scale**2
        exact_mean = (x - output["bias"]) @ weights @ np.linalg.inv(self.precision)
        error = mean - exact_mean / scale**2
        # KL(q || posterior), of Gaussians.
        self.kl = (
            variance @ np.diag(self.precision)
            + np.einsum("ni,ij,nj->n", error, self.precision, error)
            - 2
            - np.log(variance).sum(1)
            - np.linalg.slogdet(self.precision)[1]
        ) / 2


def test_the_annealed_bound_is_log_p(linear: Path) -> None:
    results, known = read(linear / "results.json"), Known(linear)
    assert abs(results["ais/nll_nats"] + known.log_p.mean()) < 0.05
    error = known.log_p.std(ddof=1) / COUNT**0.5
    assert results["ais/nll_stderr"] == pytest.approx(error, rel=0.05)
    assert abs(results["ais/acceptance"] - ACCEPTANCE) < 0.05
    assert 10 < results["ais/ess"] < log_likelihood.CHAINS
    assert results["ais/images"] == COUNT
    assert results["ais/steps"] == STEPS


def test_the_sampled_bound_is_that_of_the_evaluation(linear: Path) -> None:
    """All test images, of the same noise, by the model without its padding."""
    results, name = read(linear / "results.json"), f"nll_is{SAMPLES}"
    for what in ("nats", "stderr"):
        np.testing.assert_allclose(
            results[f"ais/{name}_{what}"], results[f"test/{name}_{what}"], rtol=1e-5
        )
    gap = results[f"ais/{name}_nats"] - results["ais/nll_nats"]
    assert results[f"ais/is{SAMPLES}_gap_nats"] == pytest.approx(gap)
    assert 0 < results[f"ais/is{SAMPLES}_gap_stderr"] < 0.1


def test_the_gaps_are_the_divergences_from_the_posterior(linear: Path) -> None:
    """The best diagonal Gaussian has the precision's diagonal, for every image."""
    results, known = read(linear / "results.json"), Known(linear)
    diagonal = np.log(np.diag(known.precision)).sum()
    family = (diagonal - np.linalg.slogdet(known.precision)[1]) / 2
    assert family > 0.2  # or it would show nothing
    amortisation = results["ais/amortisation_gap_nats"]
    assert amortisation == pytest.approx(known.kl.mean() - family, abs=0.02)
    # The larger of two noisy bounds is a little too large.
    too_large = results["ais/approximation_gap_nats"] - family
    assert 0 < too_large < 0.1


def test_the_bounds_of_simulated_images_enclose_log_p(linear: Path) -> None:
    results, known = read(linear / "results.json"), Known(linear)
    lower, upper, sampled, gap = (
        results[f"ais/simulated_{name}_nats"]
        for name in ("lower", "upper", f"is{SAMPLES}", "gap")
    )
    truth, error = known.log_p_simulated.mean(), results["ais/simulated_gap_stderr"]
    assert lower - 4 * error < truth < upper + 4 * error
    assert gap == pytest.approx(upper - lower)
    assert -4 * error < gap < 0.1
    assert abs(sampled - truth) < 0.1


def test_results_do_not_depend_on_the_batch(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = []
    for size in (20, 4):
        monkeypatch.setattr(log_likelihood, "BATCH", size)
        train.run(tiny, tmp_path)  # the second time only evaluates
        results = read(tmp_path / "results.json")
        got.append({k: v for k, v in results.items() if k.startswith("ais/")})
        (tmp_path / "results.json").unlink()
    assert got[0].keys() == got[1].keys()
    for name, value in got[0].items():
        np.testing.assert_allclose(got[1][name], value, rtol=1e-4, err_msg=name)


def test_asking_for_other_numbers_replaces_all_of_them(tiny, tmp_path: Path) -> None:
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
    asked.ais.images, asked.bounds.importance_samples = 5, 4
    train.run(tiny, folder)
    results = read(folder / "results.json")
    assert results["ais/images"] == 5
    assert results["test/nll_is2_nats"] == first["test/nll_is2_nats"]
    assert {n.replace("is2", "is4") for n in first} <= results.keys()
    assert not any(n.startswith("ais/") and "is2" in n for n in results)


def test_members_of_a_sweep_share_the_programs(
    tiny, tmp_path: Path, compilations
) -> None:
    cells = cells_of(tiny, "seed=0,1")
    sweep.run(cells, tmp_path / "sweep", executor="map")
    assert compilations("observe") == compilations("simulate") == 1
    train.run(cells[1].config, tmp_path / "alone")
    place = members.folder_of(cells[1], tmp_path / "sweep")
    assert outcome(tmp_path / "alone") == outcome(place)


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
    train.run(tiny, tmp_path / "run")
    results = read(tmp_path / "run" / "results.json")
    known = {k: v for k, v in results.items() if k.startswith("ais/")}
    assert np.isfinite([*known.values()]).all()
    is_diagonal = "posterior.name" not in changes
    assert ("ais/approximation_gap_nats" in known) == is_diagonal


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_simulated_images_are_such_as_the_likelihood_describes(tiny, name: str) -> None:
    tiny.model.likelihood.name = name
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

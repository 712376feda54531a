"""Bad input ends with status 2, one helpful line, and nothing touched."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.helpers.launched import UNOPTIMISED, Start, forks
from vae.build import build
from vae.types import UserError

CONFIG = f"--config={ROOT}/configs/quickstart.py:smoke"

COMMAND_LINES = {
    "negative size": ([CONFIG, "--config.model.latent_dim=-1"], "integer, 1 or more"),
    "unprepared": ([CONFIG, "--config.dataset.name=cifar10"], "pip install tensorflow"),
    "no table": ([CONFIG, "--experiment=reproduce"], "has no function table()"),
    "annealed codes": (
        [
            CONFIG,
            "--config.model.posterior.name=vector_quantized",
            "--config.model.prior.name=uniform_codes",
            "--config.evaluate.ais.images=4",
        ],
        "evaluate.ais: moves codes by gradients",
    ),
    "unwritable": ([CONFIG, "--workdir=/dev/null/run"], "cannot write in /dev/null"),
    "uncreatable": ([CONFIG, "--workdir=/proc/run"], "--workdir=/proc/run cannot be"),
}


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with forks(**UNOPTIMISED) as start:
        yield start


@pytest.mark.sampled(1)
@pytest.mark.parametrize("case", COMMAND_LINES)
def test_bad_command_lines(start: Start, tmp_path: Path, case: str) -> None:
    flags, message = COMMAND_LINES[case]
    began, place = time.monotonic(), tmp_path / "place"
    data = {"TFDS_DATA_DIR": str(tmp_path)}
    status, _, errors = start(place, *flags, **data).wait()
    assert status == 2
    assert message in errors
    assert len(errors.splitlines()) == 1, errors
    assert time.monotonic() - began < 60  # no download is tried again for minutes
    assert {path.name for path in place.iterdir()} == {"out.txt", "err.txt"}
    assert [*tmp_path.iterdir()] == [place]


@pytest.mark.slow
def test_a_platform_that_is_not_known(launch, tmp_path: Path) -> None:
    done = launch(CONFIG, JAX_PLATFORMS="nosuch")
    assert done.returncode == 2
    assert "JAX_PLATFORMS=nosuch: JAX cannot use" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("flag", ["-h", "-help", "--help"])
def test_help_is_asked_for_in_three_ways(launch, flag: str) -> None:
    done = launch(flag)
    assert done.returncode == 0
    assert "--workdir" in done.stdout
    assert "anomaly: Scores" in " ".join(done.stdout.split())


VALUES = {
    "zero rate": ("optimizer.learning_rate", 0.0, "must be a number, above 0"),
    "infinite rate": (
        "optimizer.learning_rate",
        np.inf,
        "inf must be a number, .* at most 1e",
    ),
    "nan rate": ("optimizer.learning_rate", np.nan, "nan must be a number, above 0"),
    "zero batch": (
        "dataset.batch_size",
        0,
        "batch_size=0 must be an integer, 1 or more",
    ),
    "zero width": ("model.encoder.widths", (5, 0), "a tuple of integers, 1 or more"),
    "float width": ("model.encoder.widths", (5.5,), "a tuple of integers"),
    "negative beta": ("objective.beta", -1.0, "beta=-1.0 must be a number, 0 or more"),
    "b1": ("optimizer.b1", 1.0, "must be a number, 0 or more and below 1"),
    "dataset": ("dataset.name", "mnst", "nearest: mnist"),
    "model": ("model.name", "vea", "did you mean vae.*choose from"),
    "objective": ("objective.name", "beta", "beta_vae.*choose from"),
    "encoder": ("model.encoder.name", "cnn", "choose from mlp, gated_mlp"),
    "activation": ("model.decoder.activation", "rleu", "did you mean relu"),
    "binarize": ("dataset.binarize", "always", "choose from auto, dynamic"),
    "precision": ("precision", "float16", "choose from float32"),
    "runtime.parallel": ("runtime.parallel", "xmap", "choose from auto"),
    "schedule": ("optimizer.schedule.name", "poly", "choose from constant"),
    "large batch": ("dataset.batch_size", 5000, "larger than the training data"),
    "odd batch": ("dataset.batch_size", 21, "cannot be divided among 4 devices"),
    "devices": ("runtime.num_devices", 9, "there are 4"),
    "validation": ("dataset.validation_size", 4500, "leaves no training data"),
    "evaluation": ("train.evaluate_every", 5, "set dataset.validation_size"),
    "support": ("dataset.binarize", "none", "density over pixels that are 0 or 1"),
    "seed": ("seed", 2**32, "below"),
    "warm-up": ("optimizer.schedule.warmup_steps", 21, "longer than the run"),
    "scale": ("model.posterior.scale", "exq", "did you mean exp"),
    "initializer": ("model.initializer", "orthogonal", "choose from glorot_uniform"),
    "annealing": ("objective.annealing", "cubic", "choose from constant"),
    "bounds": ("objective.num_bounds", 2, "use one of miwae, piwae"),
    "condition": ("model.condition", "text", "choose from none, label"),
    "prior": (
        "model.prior.name",
        "conditional_gaussian",
        "depends on the label.*given",
    ),
    "alpha": ("objective.alpha", np.nan, "does not read objective.alpha=nan"),
    "fitted": (
        "evaluate.fitted_density.components",
        -1,
        "must be an integer, 0 or more",
    ),
    "sphere": ("model.posterior.name", "von_mises_fisher", "choose uniform_on_sphere"),
}


def test_a_scale_that_the_posterior_does_not_read_is_refused(small_config) -> None:
    small_config.model.posterior.name = "full_gaussian"
    small_config.model.posterior.scale = "softplus"
    with pytest.raises(UserError, match="full_gaussian does not read model.posterior"):
        build(small_config)


@pytest.mark.sampled(16)
@pytest.mark.parametrize("case", VALUES)
def test_bad_values(small_config, case: str) -> None:
    field, value, message = VALUES[case]
    small_config.runtime.num_devices = 0
    with small_config.ignore_type():
        small_config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=message):
        build(small_config)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"objective.name": "wae_mmd", "dataset.batch_size": 1}, "2 or more"),
        ({"objective.name": "wae_mmd", "objective.kernel": "linear"}, "from rbf, imq"),
        (
            {"objective.name": "beta_tcvae", "objective.estimator": "strat"},
            "did you mean stratified",
        ),
        ({"objective.name": "beta_vae", "objective.gamma": 1.0}, "does not read"),
        ({"objective.name": "ciwae", "objective.elbo_share": 1.5}, "at most 1$"),
        ({"objective.name": "info_vae", "objective.alpha": np.nan}, "nan must be a"),
        (
            {"model.prior.name": "vamp", "model.prior.num_components": 0},
            "num_components=0 must be an integer, 1 or more",
        ),
        (
            {
                "model.posterior.name": "relaxed_categorical",
                "model.prior.name": "uniform_codes",
                "model.posterior.temperature": 0.0,
            },
            "temperature=0.0 must be a number, above 0",
        ),
        ({"objective.name": "info_vae", "objective.mmd_weight": 0.5}, "at least 1"),
        (
            {
                "model.posterior.name": "von_mises_fisher",
                "model.prior.name": "uniform_on_sphere",
                "model.latent_dim": 1,
            },
            "needs two latent dimensions or more",
        ),
        ({"evaluate.fitted_density.components": 5000}, "more than the 4500 codes"),
    ],
)
def test_values_that_do_not_go_together(small_config, overrides, message: str) -> None:
    small_config.update_from_flattened_dict(overrides)
    with pytest.raises(UserError, match=message):
        build(small_config)


def test_labels_that_cannot_condition(small_config, tmp_path: Path) -> None:
    images = np.zeros((40, 4, 4), np.uint8)
    arrays = {"x_train": images, "x_test": images, "y_train": np.arange(40) - 1}
    np.savez(tmp_path / "data.npz", **arrays)
    small_config.dataset.name = f"npz:{tmp_path}/data.npz"
    small_config.model.condition = "label"
    with pytest.raises(UserError, match="of train range from -1 to 38"):
        build(small_config)
    arrays["y_train"] += 1
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(UserError, match="the test data have none"):
        build(small_config)


def test_a_vae_with_another_beta_is_refused(small_config) -> None:
    small_config.objective.name = "elbo"
    build(small_config)
    small_config.objective.beta = 4.0
    with pytest.raises(UserError, match="elbo does not read objective.beta=4.0"):
        build(small_config)


def test_an_annealing_that_nothing_reads_is_refused(small_config) -> None:
    small_config.objective.name = "iwae"
    build(small_config)
    small_config.objective.annealing = "linear"
    with pytest.raises(UserError, match="iwae does not read objective.annealing"):
        build(small_config)


def test_convolutions_that_do_not_divide_the_image(small_config) -> None:
    small_config.model.encoder.name = "conv"
    small_config.model.encoder.channels = (4, 4, 4)
    with pytest.raises(UserError, match="28x28 pixels cannot be divided by 8"):
        build(small_config)


def test_divergence_ends_with_status_3(start: Start, tmp_path: Path) -> None:
    status, _, errors = start(
        tmp_path,
        CONFIG,
        "--workdir=run",
        "--config.optimizer.learning_rate=1e6",
        "--config.train.log_every=5",
    ).wait()
    assert status == 3
    assert "diverged at step 2" in errors
    assert "rate_nats" in errors
    assert "last good checkpoint: none" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_the_default_workdir_is_named_after_the_config(launch, tmp_path: Path) -> None:
    """As a user launches it: in a process of its own, of optimised programs."""
    done = launch("--config=configs/quickstart.py:smoke")  # that of the program
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/quickstart_smoke/results.json").exists()

"""The page of a run's latent space: every part, on models of every kind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from configs import default
from experiments import train
from experiments.latents import curves, generation, plane, run, usage
from experiments.latents.attributes import find_attributes
from experiments.latents.subject import Subject, make_subject
from experiments.program import make_program
from experiments.runs import open_run
from tests.experiments.test_train import read
from vae.build import build
from vae.evaluation import probe
from vae.evaluation.disentanglement.evaluation import make_encode
from vae.types import UserError


def config_of(**changes: Any) -> Any:
    config = default.get_config("smoke")
    config.runtime.num_devices = 1
    config.model.latent_dim = 4
    config.model.encoder.widths = config.model.decoder.widths = (16,)
    config.train.steps = config.runtime.checkpoint_every = 200
    config.update_from_flattened_dict(changes)
    return config


def subject_of(config: Any, folder: Path) -> Subject:
    train.run(config, folder)
    experiment, _, state, _ = open_run(folder)
    return make_subject(experiment, state)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Subject, Path]:
    folder = tmp_path_factory.mktemp("trained")
    return subject_of(config_of(), folder), folder


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("conditional")
    return subject_of(config_of(**{"model.condition": "label"}), folder)


@pytest.fixture(autouse=True)
def _without_long_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """UMAP compiles for 10 s in each process, and has a test of its own."""
    monkeypatch.setattr(probe, "STEPS", 100)
    monkeypatch.setattr(plane, "umap", lambda codes, seed: codes[:, :2])


@pytest.mark.slow
def test_the_page_is_one_file_and_shows_every_part(trained) -> None:
    _, folder = trained
    run.run(folder)
    page = (folder / "latents.html").read_text()
    pictures = list((folder / "latents").glob("*.*g*"))
    assert page.count("data:image/") == page.count("<img") >= len(pictures) - 1 > 8
    assert not any(f'{attribute}="http' in page for attribute in ("src", "href"))
    assert "Left out: only a conditional model" in page
    assert "mnist_5k; 4 latent dimensions; objective beta_vae, beta = 1; 200" in page
    results = read(folder / "latents" / "results.json")
    for features in ("pca-32", "lenet"):
        of_data = results[f"coverage/{features}/training_images/coverage"]
        assert of_data > results[f"coverage/{features}/prior_1/coverage"]
    assert sum(results["coverage/classes/prior_1/counts"]) == 500
    energy = {
        name: results[f"interpolation/{name}/energy"]
        for name in ("linear", "spherical", "geodesic")
    }
    assert min(energy, key=lambda name: energy[name]) == "geodesic"
    assert results["neighbours/median_distance_of_test_images"] > 1


def test_curves_end_at_the_reconstructions(trained) -> None:
    subject, _ = trained
    pairs = curves.choose_pairs(subject)
    assert len({place for pair in pairs for place in pair}) == 2 * len(pairs) == 8
    found, _, _ = curves.trace_curves(subject, pairs)
    for points in found.values():
        for side, end in ((0, 0), (1, -1)):
            places = [pair[side] for pair in pairs]
            np.testing.assert_array_equal(points[:, end], subject.test.codes[places])
    labels = subject.test.labels
    assert labels is not None
    assert all(labels[first] != labels[last] for first, last in pairs)


def test_pairs_of_a_conditional_model_share_the_label(conditional) -> None:
    labels = conditional.test.labels
    pairs = curves.choose_pairs(conditional)
    assert len(pairs) == 4
    assert all(labels[first] == labels[last] for first, last in pairs)


def test_a_temperature_scales_the_codes(trained) -> None:
    subject, _ = trained
    images = generation.generate(subject)
    count = len(subject.test.codes)
    z = subject.draw("samples", np.zeros(count, np.int32))
    for temperature in (1, 0.7):
        np.testing.assert_allclose(
            images[f"prior, temperature {temperature:g}"],
            subject.decode(temperature * z),
            rtol=1e-5,
        )
    assert z.std() == pytest.approx(1, abs=4 / np.sqrt(2 * z.size))


def test_a_conditional_model_generates_the_labels_of_the_data(
    conditional, tmp_path: Path
) -> None:
    images = generation.generate(conditional)
    assert list(images) == ["prior, temperature 1", "prior, temperature 0.7"]
    labels = conditional.spread_labels(500)
    np.testing.assert_array_equal(np.bincount(labels), np.full(10, 50))
    evaluated = {"latent/kl_per_dim": [1.0, 2.0, 3.0, 4.0]}
    section = curves.show_traversals(conditional, evaluated, tmp_path)
    assert all(picture.path.exists() for picture in section.pictures)


def test_codes_are_posterior_means_of_the_padded_model(tmp_path: Path) -> None:
    config = config_of(**{"dataset.binarize": "threshold"})
    subject = subject_of(config, tmp_path)
    experiment, program, state, _ = open_run(tmp_path)
    test, places = experiment.dataset.test, np.arange(500, dtype=np.int32)
    encode = program.compiled(make_encode)
    _, means, _ = encode(state.variables, 0, test.images, places)
    np.testing.assert_allclose(subject.test.codes, means[:, :4], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_small_latent_spaces(tmp_path: Path, latent_dim: int) -> None:
    subject = subject_of(config_of(**{"model.latent_dim": latent_dim}), tmp_path)
    attributes = find_attributes(subject)
    section = plane.show_plane(subject, attributes, tmp_path)
    if latent_dim == 1:
        assert "Left out" in section.text
        return
    names = [picture.path.name for picture in section.pictures]
    assert names == ["embedding_codes.png", "manifold.png"]
    with Image.open(tmp_path / "manifold.png") as picture:
        assert picture.width == picture.height > 600


def test_thumbnails_keep_their_distance() -> None:
    points = np.random.default_rng(0).uniform(size=(3000, 2))
    chosen = points[plane.spread_out(points, np.zeros(2), np.ones(2))]
    assert len(chosen) == plane.THUMBNAILS
    apart = np.abs(chosen[:, None] - chosen).max(axis=-1)
    least = plane.THUMBNAIL_INCHES / plane.INCHES
    assert (apart + np.eye(len(chosen)) > least).all()


def test_factors_are_attributes(tmp_path: Path) -> None:
    changes = {"dataset.name": "sprites:16", "dataset.binarize": "none"}
    subject = subject_of(config_of(**changes), tmp_path)
    attributes = find_attributes(subject)
    assert list(attributes.train) == list(subject.experiment.data.factors.names)
    assert set(attributes.train["shape"]) == {0, 1, 2}
    assert set(attributes.train["position_x"]) == {0, 1}
    assert attributes.accuracy["position_x"] > 0.9
    assert attributes.measured is None


@pytest.mark.parametrize(
    "changes",
    [
        {"model.prior.name": "vamp", "model.prior.num_components": 20},
        {"model.posterior.name": "iaf", "model.posterior.widths": (8,)},
    ],
)
def test_other_parts_of_models(tmp_path: Path, changes: dict[str, Any]) -> None:
    subject = subject_of(config_of(**changes), tmp_path)
    images = generation.generate(subject)
    assert all(np.isfinite(of_kind).all() for of_kind in images.values())
    evaluated = read(tmp_path / "results.json")
    section = curves.show_traversals(subject, evaluated, tmp_path)
    assert "Left out" in section.text
    assert "Verdict" in usage.show_usage(evaluated, tmp_path).text


def test_codes_that_no_tool_moves_are_refused() -> None:
    changes = {"model.posterior.name": "von_mises_fisher"}
    changes["model.prior.name"] = "uniform_on_sphere"
    experiment = build(config_of(**changes))
    state, _ = make_program(experiment).initialize(experiment)
    with pytest.raises(UserError, match="on the sphere"):
        make_subject(experiment, state)


def test_wrong_uses(launch, trained, tmp_path: Path) -> None:
    _, folder = trained
    config = f"--config={Path(default.__file__)}"
    for flags, message in (
        ([], "needs --workdir"),
        ([f"--workdir={folder}", config], "holds a run of another config"),
        ([f"--workdir={tmp_path / 'none'}"], "holds no run"),
    ):
        done = launch("--experiment=latents", *flags)
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1

"""The page of a run's latent space."""

import re
from pathlib import Path
from typing import Any

import pytest

from experiments.figures import Display
from experiments.latents import editing, run, subject
from experiments.latents.section import Section
from tests.experiments.latents.conftest import CODES, STEPS, config_of, known_model
from tests.experiments.test_train import read
from vae.types import UserError


@pytest.mark.slow
def test_the_page_is_one_file_and_shows_every_section(
    trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MOST_TRAIN", 1500)
    monkeypatch.setattr(editing, "EDITED", 20)
    folder = trained
    run.run(folder)
    page = " ".join((folder / "latents.html").read_text().split())
    pictures = list((folder / "latents").glob("*.*g*"))
    assert page.count("data:image/") == page.count("<img") >= len(pictures) - 1 > 8
    assert not any(f'{attribute}="http' in page for attribute in ("src", "href"))
    assert page.count("Left out") == 1
    assert "Left out: only a conditional model" in page
    model = "mnist_5k; model vae; 4 latent dimensions; objective beta_vae, beta = 1"
    assert f"{model}; {STEPS}" in page
    explorer = (folder / "explorer.html").read_text()
    assert 'href="explorer.html"' in page and not re.search(
        '(src|href)="http', explorer
    )
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


def test_a_section_that_fails_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail() -> Any:
        raise ValueError("two\nlines")

    sections = {
        "plane": fail,
        "samples": lambda: Section(results={"a": float("nan")}),
        "editing": fail,
    }
    monkeypatch.setattr(run, "_sections", lambda *_: sections)
    model, _ = known_model(CODES)
    run._write(model._replace(display=Display(-1, 1)), tmp_path)
    page = " ".join((tmp_path / "latents.html").read_text().split())
    assert page.count("Left out: could not be computed (ValueError: two lines)") == 2
    assert "<p>Mean images p(x | z) of random codes." in page
    assert (
        "npz:a; model vae; 3 latent dimensions; objective elbo, beta = 1; 2,000 steps."
        in page
    )
    assert "Not a finite number (nan on this page): a." in page
    assert "Pixels are shown from -1 (black) to 1 (white)" in page
    said = capsys.readouterr().out
    assert (
        "2 of 3 sections of the page could not be computed: plane (ValueError" in said
    )


@pytest.mark.slow
def test_wrong_uses(trained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds a run of another config"):
        run.run(trained, config=config_of(seed=7))
    with pytest.raises(UserError, match="holds no run"):
        run.run(tmp_path / "none")

"""Models for the page's tests: known ones, initial ones, and one trained run."""

import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from configs import default
from experiments import page, train
from experiments.latents.attributes import Attributes
from experiments.latents.section import Section
from experiments.latents.subject import Examples, Subject, make_subject
from experiments.program import make_program
from tests.experiments.conftest import Programs, sharing
from vae.build import build
from vae.data.splits import Split

COUNT = 400
CODES = np.random.default_rng(0).normal(size=(COUNT, 3))
NOTHING = Attributes(None, None, {}, {}, {})
STEPS = 100


def read_signs(names: tuple[str, ...], images: np.ndarray) -> dict[str, np.ndarray]:
    return {name: (images[:, 0, i, 0] > 0).astype(int) for i, name in enumerate(names)}


def known_model(
    codes: np.ndarray,
    names: tuple[str, ...] = (),
    *,
    labels: np.ndarray | None = None,
    is_conditional: bool = False,
    accuracy: float = 1,
    moments: Any = None,
) -> tuple[Subject, Attributes]:
    """A model whose images [N, 1, D, 1] are its codes [N, D], and attributes that are
    the signs of the pixels. A conditional one adds ten times the label to every pixel.
    Both splits are the same."""

    def decode(z: Any, given: Any = None) -> np.ndarray:
        z = np.asarray(z, np.float32)
        if is_conditional and given is not None:
            z = z + 10 * np.asarray(given)[:, None]
        return z[:, None, :, None]

    images = decode(codes, labels)
    num_labels = None
    if is_conditional:
        num_labels = 1 if labels is None else int(labels.max()) + 1
    experiment: Any = SimpleNamespace(
        model=SimpleNamespace(num_labels=num_labels),
        group_dims=(codes.shape[1],),
        config={
            "dataset": {"name": "npz:a"},
            "model": {"name": "vae", "latent_dim": codes.shape[1], "groups": []},
            "objective": {"name": "elbo", "beta": 1.0},
            "train": {"steps": 2000},
        },
        data=SimpleNamespace(factors=None),
    )
    examples = Examples(Split(images, labels), images, labels, None, codes)
    subject = Subject(
        experiment=experiment,
        seed=0,
        train=examples,
        test=examples,
        decode_now=decode,
        decode=decode,
        draw=lambda labels: codes,
        sample_train=lambda: codes,
        prior_moments=moments,
    )
    found = read_signs(names, decode(codes))
    accuracies = dict.fromkeys(names, 1.0)
    if names:
        accuracies[names[-1]] = accuracy
    reader: Any = SimpleNamespace(read=lambda images: read_signs(names, images))
    return subject, Attributes(reader, None, accuracies, found, found)


def correlated_signs() -> np.ndarray:
    """Codes [N, 3] of which the first two are mostly of one sign, and the third is
    independent of them."""
    random = np.random.default_rng(0)
    first = random.choice([-1.0, 1.0], COUNT)
    second = 0.6 * first + random.choice([-1.0, 1.0], COUNT)
    third = np.tile([-1.0, 1.0], COUNT // 2)
    noise = 0.01 * random.normal(size=(COUNT, 3))
    return np.stack([first, second, third], axis=1) + noise


def config_of(**changes: Any) -> Any:
    config = default.get_config("smoke")
    config.runtime.num_devices = 1
    config.model.latent_dim = 4
    config.model.encoder.widths = config.model.decoder.widths = (16,)
    config.train.steps = config.runtime.checkpoint_every = STEPS
    config.update_from_flattened_dict(changes)
    return config


def initial_model(**changes: Any) -> Subject:
    """A model before its training, of MNIST unless the changes say otherwise."""
    experiment = build(config_of(**changes))
    state, _ = make_program(experiment).initialize(experiment)
    return make_subject(experiment, state)


def words(name: str, section: Section, subject: Subject | None = None) -> str:
    """Returns what a page with one section says, without tags."""
    subject = subject or known_model(CODES)[0]
    text = page.render(
        "latents.html.jinja",
        name="run",
        config=subject.experiment.config,
        dimensions=subject.dimensions,
        elbo=None,
        display=subject.display.describe(1),
        sections={name: section},
        not_finite=[],
    )
    text = re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    return " ".join(unescape(text).split())


@pytest.fixture(scope="session")
def browse() -> Callable[..., str]:
    """Returns (page, fragment) -> the page as Chromium leaves it, when its script is
    done; skips where there is no Chromium."""
    names = "chromium", "chromium-browser", "google-chrome", "chrome"
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs Chromium")

    def open_page(path: Path, fragment: str = "") -> str:
        flags = "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"
        address = f"{path.as_uri()}#{fragment}"
        command = [found, *flags, address]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=120
        )
        return done.stdout

    return open_page


@pytest.fixture(scope="session")
def plain() -> Subject:
    return initial_model()


@pytest.fixture(scope="session")
def conditional() -> Subject:
    return initial_model(**{"model.condition": "label"})


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, programs: Programs) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("trained")
    with sharing(programs):
        train.run(config_of(), folder)
    return folder


@pytest.fixture(autouse=True)
def _short_fits(short_fits: None) -> None:
    pass

"""A model as the latent tools see it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.latents import curves, generation
from experiments.latents.subject import make_subject
from experiments.program import make_program
from tests.experiments.latents.conftest import config_of, initial_model, known_model
from vae.build import build
from vae.evaluation.disentanglement.evaluation import make_encode
from vae.types import UserError


@pytest.mark.slow
def test_codes_are_posterior_means_of_the_padded_model() -> None:
    experiment = build(config_of(**{"dataset.binarize": "threshold"}))
    program = make_program(experiment)
    state, _ = program.initialize(experiment)
    subject = make_subject(experiment, state)
    test, places = experiment.dataset.test, np.arange(500, dtype=np.int32)
    encode = program.compiled(make_encode)
    _, means, _ = encode(state.variables, 0, test.images, places)
    np.testing.assert_allclose(subject.test.codes, means[:, :4], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_styles_of_a_learned_prior() -> None:
    changes = {"model.condition": "label"}
    subject = initial_model(**changes, **{"model.prior.name": "conditional_gaussian"})
    assert subject.prior_moments is not None
    # Draws of two labels differ by their priors only.
    standard = []
    for label in (2, 7):
        labels = np.full(6, label)
        mean, scale = subject.prior_moments(labels)
        standard.append((subject.draw(labels) - mean) / scale)
    assert np.abs(mean - subject.prior_moments(np.full(6, 2))[0]).max() > 0.1
    np.testing.assert_allclose(*standard, atol=1e-5)
    codes, labels = subject.test.codes, subject.test.labels
    again = subject.decode_styles(subject.styles(subject.test), labels)
    np.testing.assert_allclose(again, subject.decode(codes, labels), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"model.prior.name": "vamp", "model.prior.num_components": 20},
        {"model.posterior.name": "iaf", "model.posterior.widths": (8,)},
    ],
)
def test_other_parts_of_models(tmp_path: Path, changes: dict[str, Any]) -> None:
    subject = initial_model(**changes)
    images = generation.generate(subject)
    assert all(np.isfinite(of_kind).all() for of_kind in images.values())
    assert curves.show_traversals(subject, {}, tmp_path).left_out


OF_DRAWN = {"model.prior.name": "vamp", "model.prior.num_components": 20}


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"model.condition": "label"},
        {"dataset.keep_labels": (0, 1), **OF_DRAWN},
    ],
)
def test_factors_are_shown_of_models_of_all_images_only(changes: dict) -> None:
    """Images of random factors have no labels. A VampPrior begins at drawn images."""
    subject = initial_model(**{"dataset.name": "sprites:16"}, **changes)
    assert subject.test.factors is None
    assert {*np.unique(subject.test.labels)} <= {0, 1, 2}
    if "dataset.keep_labels" in changes:
        assert 2 not in subject.test.labels
    assert np.isfinite(subject.test.codes).all()


def test_codes_that_no_tool_moves_are_refused() -> None:
    changes = {"model.posterior.name": "von_mises_fisher"}
    changes["model.prior.name"] = "uniform_on_sphere"
    with pytest.raises(UserError, match="on the sphere"):
        initial_model(**changes)


def test_dimensions_are_named_with_their_group() -> None:
    subject, _ = known_model(np.zeros((2, 7)))
    assert subject.name_dimension(3) == "3"
    subject.experiment.group_dims = (4, 2, 1)
    names = [subject.name_dimension(i) for i in (0, 3, 4, 6)]
    assert names == ["0 (group 1)", "3 (group 1)", "4 (group 2)", "6 (group 3)"]

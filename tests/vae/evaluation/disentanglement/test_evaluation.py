from typing import Any

import numpy as np
import pytest

from tests.helpers.grids import grid
from tests.helpers.trained import untrained
from vae.data.factors import FactorSource, factors_at
from vae.data.sprites import Sprites
from vae.evaluation.base import Trained
from vae.evaluation.disentanglement import evaluation
from vae.evaluation.disentanglement.evaluation import (
    CodeTable,
    applies,
    posterior_means,
)

SIZES = (3, 2, 2, 2, 2)


def stored(factors: np.ndarray) -> Sprites:
    spread = factors * np.array([1, 5, 10, 31, 31])
    return Sprites(spread.astype(np.uint8), side=16)


@pytest.fixture
def trained(small_config, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """An untrained model of sprites, with two values of all factors but the shape."""
    monkeypatch.setattr(evaluation, "BATCH", 20)  # of 48 images
    small_config.dataset.name, small_config.dataset.binarize = "sprites:16", "none"
    trained = untrained(small_config)
    source = FactorSource(grid(*SIZES).names, SIZES, stored)
    return trained._replace(subject=trained.subject._replace(factors=source))


def posterior_of(trained: Trained, images: Any) -> Any:
    x = np.asarray(images) / np.float32(255)
    encoded = trained.subject.model.apply(trained.variables, x, method="encode")
    return encoded.posterior


@pytest.mark.slow
def test_codes_are_posterior_means_and_computed_once(trained: Trained) -> None:
    assert trained.subject.factors is not None
    table = CodeTable(trained)
    factors = factors_at(trained.subject.factors, np.array([7, 3, 7, 47, 0]))
    means = table.means(factors)
    expected = posterior_of(trained, stored(factors)).mean[:, :4]
    np.testing.assert_allclose(means, expected, atol=1e-5)
    table._encode = None  # it is not needed again
    np.testing.assert_array_equal(table.means(factors[::-1]), means[::-1])


@pytest.mark.slow
def test_codes_are_drawn_from_the_posteriors(trained: Trained) -> None:
    """48 images of 4 dimensions: standardised, they are normal. A mean of 192 has the
    standard error .07, their variance .10: within four of each."""
    assert trained.subject.factors is not None
    table = CodeTable(trained)
    factors = factors_at(trained.subject.factors, np.arange(48))
    variance = posterior_of(trained, stored(factors)).variance[:, :4]
    noise = (table.draw(factors) - table.means(factors)) / np.sqrt(variance)
    assert noise.mean() == pytest.approx(0, abs=4 * 0.07)
    assert noise.var() == pytest.approx(1, abs=4 * 0.10)
    np.testing.assert_array_equal(table.draw(factors[5:9]), table.draw(factors)[5:9])


@pytest.mark.slow
def test_models_are_compared_by_evenly_spaced_test_images(trained: Trained) -> None:
    test = trained.subject.dataset.test
    x, means = posterior_means(trained, 3)
    last = np.asarray(test.images[[test.size - 1]])
    np.testing.assert_allclose(x[2:], last / np.float32(255), rtol=1e-6)
    expected = posterior_of(trained, last).mean[:, :4]
    np.testing.assert_allclose(means[2:], expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "points", "reason"),
    [
        ({}, 400, None),
        ({"factors": None}, 400, "needs data whose factors are known"),
        ({}, 5, "which cannot show the 3 values"),
        ({"binarize": "threshold"}, 400, "not binarize=threshold"),
        ({"keep_labels": (1,)}, 400, "some labels only"),
        ({"latent_dim": 1}, 400, "but there is one"),
    ],
)
def test_when_there_are_scores(
    trained: Trained, changes: dict[str, Any], points: int, reason: str | None
) -> None:
    found = applies(trained.subject._replace(**changes), points=points)
    assert found is None if reason is None else reason in (found or "")

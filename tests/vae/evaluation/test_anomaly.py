from typing import Any

import numpy as np
import pytest

from tests.helpers.trained import untrained
from vae.evaluation import anomaly
from vae.evaluation.anomaly import scores_of_bounds
from vae.evaluation.bounds import ImageBounds


def test_scores_from_bounds_by_hand() -> None:
    bounds = ImageBounds(
        distortion=np.array([80.0, 90.0]),
        rate=np.array([20.0, 25.0]),
        rate_per_group=np.array([[20.0], [25.0]]),
        log_likelihood=np.array([-95.0, -110.0]),
        effective_sample_size=np.ones(2),
        reconstruction_log_prob=np.array([-78.0, -85.0]),
        posterior_mean=np.zeros((2, 1)),
        mean_error=None,
        kl_per_dimension=None,
    )
    got = scores_of_bounds(
        bounds, typical_bound=-100.0, code_lengths=np.array([50.0, 200.0])
    )
    expected = {
        "neg_elbo": [100, 115],
        "neg_bound": [95, 110],
        "reconstruction": [78, 85],
        "distortion": [80, 90],
        "rate": [20, 25],
        "atypicality": [5, 10],  # too likely is as odd as too unlikely
        "complexity_ratio": [45, -90],
    }
    assert {name: values.tolist() for name, values in got.items()} == expected


@pytest.mark.slow
def test_examples_too_far_for_float32_are_the_most_anomalous(small_config: Any) -> None:
    """Their bounds are nan: infinite squares less infinite squares."""
    small_config.dataset.keep_labels = (3,)
    small_config.evaluate.anomalies.source = "other_labels"
    small_config.dataset.binarize = "none"
    small_config.model.likelihood.name = "gaussian"
    trained = untrained(small_config)
    far = trained.subject.dataset.test[:10]
    far = far._replace(images=np.full(far.images.shape, 1e25, np.float32))
    given = trained._replace(subject=trained.subject._replace(anomalies=far))
    found = anomaly.run(given, source="other_labels", regret_images=4)
    for name in ("neg_elbo", "neg_bound", "regret", "atypicality"):
        assert np.isfinite(found[f"normal/{name}"]).sum() >= 4
        assert found[f"anomaly/{name}_auroc"] == 1, name
    assert np.isposinf(found["anomalous/neg_elbo"]).all()


@pytest.mark.slow
def test_models_with_several_groups_have_ratios(small_config: Any) -> None:
    """One for each group but the highest, of whichever batches. Groups of one image
    differ, and so do ratios."""
    small_config.model.name = "ladder"
    small_config.model.groups = small_config.model.group_widths = (3, 2)
    small_config.dataset.keep_labels = (3,)
    small_config.evaluate.anomalies.source = "other_labels"
    trained = untrained(small_config)
    found = [
        anomaly.run(trained._replace(batch_size=size), source="other_labels")
        for size in (100, 33)
    ]
    ratios = [name for name in found[0] if name.startswith("anomalous/llr")]
    assert ratios == ["anomalous/llr_above_1", "anomalous/llr_above_2"]
    for name in ratios:
        assert np.std(found[0][name]) > 0.01
        np.testing.assert_allclose(found[1][name], found[0][name], atol=2e-3)
    assert not np.array_equal(*(found[0][name] for name in ratios))

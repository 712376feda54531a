import numpy as np

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

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from vae.evaluation.anomaly import fit_ppca, scores_of_bounds
from vae.evaluation.bounds import ImageBounds


def test_scores_from_bounds_by_hand() -> None:
    bounds = ImageBounds(
        distortion=np.array([80.0, 90.0]),
        rate=np.array([20.0, 25.0]),
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


def test_ppca_is_its_gaussian() -> None:
    """W W^T + s^2 I of the largest eigenvalues and the mean of the others."""
    random = np.random.default_rng(0)
    images = random.normal(size=(500, 2, 3, 1)) * np.arange(1, 7).reshape(2, 3, 1)
    got = fit_ppca(images, 2)(images[:20])
    flat = images.reshape(500, 6)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    values[:4] = values[:4].mean()
    covariance = vectors * values @ vectors.T
    density = multivariate_normal(flat.mean(0), covariance)
    np.testing.assert_allclose(got, -density.logpdf(flat[:20]), rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 12, 12, 1), (20, 12, 12, 3), (1, 4, 4, 1)])
def test_ppca_of_fewer_images_than_components_or_pixels(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, shape, np.uint8)
    score = fit_ppca(images, 32)
    # A mean of training images lies in their plane, others do not.
    inside = images.mean(0, keepdims=True) / 255
    within, outside = score(inside)[0], score(random.random(shape))
    assert np.isfinite(outside).all()
    assert (outside > within + 1_000).all()
    assert len(np.unique(outside)) == len(outside)  # no ties


def test_ppca_of_few_images_of_rank_two_is_its_gaussian() -> None:
    """Fewer images than pixels: the variance left is shared by all other directions."""
    random = np.random.default_rng(0)
    images = random.normal(size=(5, 2, 4, 1))
    flat = images.reshape(5, 8)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    values[:6] = values[:6].mean()
    density = multivariate_normal(flat.mean(0), vectors * values @ vectors.T)
    got = fit_ppca(images, 2)(images)
    np.testing.assert_allclose(got, -density.logpdf(flat), rtol=1e-6)

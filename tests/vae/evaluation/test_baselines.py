import numpy as np
import pytest
from scipy.stats import multivariate_normal

from vae.evaluation import baselines
from vae.evaluation.baselines import (
    FITTED,
    NEIGHBOURS,
    fit_knn,
    fit_ppca,
    score_by_others,
)


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


@pytest.mark.parametrize("name", FITTED)
def test_points_far_from_all_others_score_highest(name: str) -> None:
    """In rows that are more than one block."""
    random = np.random.default_rng(0)
    train, normal = random.normal(size=(300, 4)), random.normal(size=(5_000, 4))
    far = random.normal(size=(20, 4)) + 8
    score = FITTED[name](train.astype(np.float32))
    of_all = score(np.concatenate([normal, far]))
    assert of_all.shape == (5_020,)
    assert of_all[5_000:].min() > np.quantile(of_all[:5_000], 0.99)


def test_the_distance_to_the_fifth_neighbour() -> None:
    line = np.arange(20.0)[:, None]
    np.testing.assert_allclose(fit_knn(line)(np.array([[0.0], [30.0]])), [4, 15])
    few = fit_knn(line[: NEIGHBOURS - 2])
    np.testing.assert_allclose(few(np.array([[0.0]])), [2])


def test_scores_of_the_same_data_are_computed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    train, *splits = (random.normal(size=(n, 3)) for n in (30, 7, 5))
    monkeypatch.setattr(baselines, "_SCORES", {})
    first = score_by_others(train, splits, 2, baselines=True)
    for name, fit in {"ppca": lambda x: fit_ppca(x, 2), **FITTED}.items():
        for scores, images in zip(first, splits, strict=True):
            np.testing.assert_array_equal(scores[name], fit(train)(images))
    fits = []
    monkeypatch.setattr(baselines, "fit_ppca", lambda *given: fits.append(given))
    again = score_by_others(train.copy(), splits, 2, baselines=True)
    assert not fits
    for scores, before in zip(again, first, strict=True):
        assert scores.keys() == before.keys()
        assert all(scores[name] is before[name] for name in scores)
    with pytest.raises(TypeError):  # other data: a stub that fits nothing is called
        score_by_others(train + 1, splits, 2, baselines=False)
    assert len(fits) == 1


@pytest.mark.parametrize("shape", [(5, 2, 4, 1), (20, 2, 4, 1)])
def test_ppca_of_images_that_hardly_differ(shape: tuple[int, ...]) -> None:
    images = np.zeros(shape)
    assert np.isfinite(fit_ppca(images, 4)(images + 0.1)).all()
    images[0, 0, 0] = 1
    inside, outside = fit_ppca(images, 4)(np.stack([images[0], images[0] + 0.1]))
    assert inside < outside < np.inf

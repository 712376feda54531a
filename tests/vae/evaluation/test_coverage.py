import numpy as np
import pytest
from scipy import linalg

from vae.evaluation.coverage import (
    compare_classes,
    fit_principal_components,
    frechet_between_gaussians,
    frechet_distance,
    precision_recall_density_coverage,
)
from vae.types import Unsupported


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_scores_by_their_definitions() -> None:
    real, fake, k = normal(0, 30, 3), normal(1, 40, 3) + 0.5, 4

    def radii(points: np.ndarray) -> list[float]:
        return [
            sorted(np.linalg.norm(points[j] - p) for j in range(len(points)) if j != i)[
                k - 1
            ]
            for i, p in enumerate(points)
        ]

    distances = np.linalg.norm(real[:, None] - fake, axis=-1)
    in_real = distances <= np.array(radii(real))[:, None]
    in_fake = distances <= np.array(radii(fake))
    expected = (
        in_real.any(0).mean(),
        in_fake.any(1).mean(),
        in_real.sum() / k / 40,
        in_real.any(1).mean(),
    )
    got = precision_recall_density_coverage(real, fake, k)
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_scores_of_normal_points_in_a_thousand_dimensions() -> None:
    """As in the README of github.com/clovaai/generative-evaluation-prdc. Six draws had
    standard deviations of .014, .008, .057 and .006, and theirs is one more draw."""
    deviations = np.array([0.014, 0.008, 0.057, 0.006])
    got = precision_recall_density_coverage(
        normal(0, 10_000, 1000), normal(1, 10_000, 1000)
    )
    error = np.abs(np.subtract(got, (0.4772, 0.4705, 1.0555, 0.9735)))
    assert (error < 4 * np.sqrt(2) * deviations).all()


@pytest.mark.slow
def test_mean_scores_of_sets_of_one_distribution() -> None:
    """Of a real point and the n - 1 + m others of both sets, any order by distance is
    as likely: a fake one is among the k nearest real ones with probability k / n, and
    none precedes the k-th with probability (n-1)...(n-k) / (n+m-1)...(n+m-k)."""
    n, m, k, repeats = 60, 90, 3, 100
    scores = np.array(
        [
            precision_recall_density_coverage(
                normal(seed, n, 2), normal(repeats + seed, m, 2), k
            )
            for seed in range(repeats)
        ]
    )
    ranks = np.arange(1, k + 1)
    coverage = 1 - np.prod((n - ranks) / (n + m - ranks))
    error = 4 * scores.std(0) / np.sqrt(repeats)
    assert abs(scores[:, 2].mean() - 1) < error[2]
    assert abs(scores[:, 3].mean() - coverage) < error[3]
    assert error[2:].max() < 0.05


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("copies", [1, 10])
def test_equal_sets(copies: int, offset: float) -> None:
    """A ball holds its centre and k others; of ten copies each holds just those."""
    points = np.repeat(normal(0, 50, 20), copies, axis=0) + offset
    got = precision_recall_density_coverage(points, points[::-1].copy(), 5)
    density = 6 / 5 if copies == 1 else 10 / 5
    assert got == pytest.approx((1, 1, density, 1), abs=1e-12)


def test_one_point_far_away_changes_no_other_ball() -> None:
    real, fake = normal(0, 100, 3), normal(1, 100, 3)
    alone = precision_recall_density_coverage(real, fake)
    fake = np.concatenate([fake, np.full((1, 3), 1e9)])
    got = precision_recall_density_coverage(real, fake)
    expected = (alone.precision / 1.01, 1, alone.density / 1.01, alone.coverage)
    assert got.recall >= alone.recall
    assert got._replace(recall=1) == pytest.approx(expected, abs=1e-12)


def test_a_cluster_that_is_not_generated() -> None:
    clusters = np.repeat([[0.0, 0.0], [100.0, 0.0]], 500, axis=0)
    got = precision_recall_density_coverage(
        clusters + normal(0, 1000, 2), normal(1, 1000, 2)
    )
    # Of the other cluster nothing; of this one 1 - 3^-5 is covered, in the mean.
    error = 4 * np.sqrt(3**-5 * (1 - 3**-5) / 500) / 2
    assert 0.5 * (1 - 3**-5) - error < got.coverage <= 0.5
    assert 0.48 < got.recall <= 0.5
    assert got.precision > 0.95


def test_scores_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = normal(0, 700, 4), normal(1, 500, 4)
    whole = precision_recall_density_coverage(real, fake)
    monkeypatch.setattr("vae.evaluation.coverage.MEBIBYTES", 0.1)
    assert precision_recall_density_coverage(real, fake) == whole


def test_frechet_distance_of_diagonal_gaussians() -> None:
    means, scales = normal(0, 2, 5), np.abs(normal(1, 2, 5))
    expected = ((means[0] - means[1]) ** 2 + (scales[0] - scales[1]) ** 2).sum()
    first, second = (
        (mean, np.diag(scale**2)) for mean, scale in zip(means, scales, strict=True)
    )
    assert frechet_between_gaussians(*first, *second) == pytest.approx(expected)
    rotation = np.linalg.qr(normal(2, 5, 5))[0]
    turned = [
        (rotation @ mean, rotation @ covariance @ rotation.T)
        for mean, covariance in (first, second)
    ]
    assert frechet_between_gaussians(*turned[0], *turned[1]) == pytest.approx(expected)
    assert frechet_between_gaussians(*turned[0], *turned[0]) < 1e-12


def test_frechet_distance_by_the_root_of_a_product() -> None:
    real, fake = normal(0, 200, 6) @ normal(1, 6, 6), normal(2, 300, 6) + 1
    covariances = [np.cov(points, rowvar=False) for points in (real, fake)]
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    expected += np.trace(covariances[0] + covariances[1] - 2 * root.real)
    assert frechet_distance(real, fake) == pytest.approx(expected)
    assert frechet_distance(fake, real) == pytest.approx(expected)


@pytest.mark.parametrize("width", [1, 3, 200])
def test_frechet_distance_of_singular_covariances(width: int) -> None:
    """Ten points span nine dimensions at most, and a constant adds one without
    variance: a shift is all there is."""
    points = np.concatenate([normal(0, 10, width), np.full((10, 1), 7.0)], axis=1)
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(points, points + 2) == pytest.approx(4 * (width + 1))


def test_chi_square_of_a_table() -> None:
    """Expected are 25, 25 and 50 of each set: 4 times 5^2 / 25. With two degrees of
    freedom the p-value is exp(-4 / 2)."""
    got = compare_classes(
        np.repeat([0, 1, 3], [30, 20, 50]), np.repeat([0, 1, 3], [20, 30, 50]), 5
    )
    np.testing.assert_array_equal(got.real_counts, [30, 20, 0, 50, 0])
    np.testing.assert_array_equal(got.fake_counts, [20, 30, 0, 50, 0])
    assert got.statistic == pytest.approx(4)
    assert got.p_value == pytest.approx(np.exp(-2))
    assert got.missing == ()


@pytest.mark.parametrize("num_classes", [1, 2, 10])
def test_equal_shares_are_above_any_doubt(num_classes: int) -> None:
    labels = np.arange(500) % num_classes
    got = compare_classes(labels, np.tile(labels, 2), num_classes)
    assert got.statistic == pytest.approx(0, abs=1e-12)
    assert got.p_value == pytest.approx(1)
    assert got.missing == ()


def test_missing_modes_are_named() -> None:
    """A quarter of a quarter of 400 is 25."""
    real = np.repeat(np.arange(5), [100, 100, 100, 100, 0])
    fake = np.repeat(np.arange(5), [25, 24, 0, 346, 5])
    got = compare_classes(real, fake, 5)
    assert got.missing == (1, 2)
    assert got.p_value < 1e-6


def test_principal_components_of_images_on_a_line() -> None:
    direction = np.array([[2, 0], [1, 2]], np.uint8)[..., None]  # of length 3
    places = np.random.default_rng(0).integers(0, 128, 100, np.uint8)
    images = places[:, None, None, None] * direction
    features = fit_principal_components(images, 1)
    for seen in (images, images / 255):
        got = features(seen[:20]) * 255 / 3
        expected = places[:20] - places.mean()
        np.testing.assert_allclose(np.abs(got[:, 0]), np.abs(expected), atol=1e-9)


def test_all_principal_components_keep_distances() -> None:
    images = normal(0, 50, 3, 2, 1)
    features = fit_principal_components(images, 6)(images)
    np.testing.assert_allclose(
        np.linalg.norm(features[:, None] - features, axis=-1),
        np.linalg.norm((images[:, None] - images).reshape(50, 50, 6), axis=-1),
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: precision_recall_density_coverage(normal(0, 9, 2), normal(0, 5, 2)),
            "needs 6 generated points or more: 5 are",
        ),
        (
            lambda: precision_recall_density_coverage(normal(0, 0, 2), normal(0, 9, 2)),
            "real points or more: 0 are",
        ),
        (
            lambda: precision_recall_density_coverage(normal(0, 9, 2), normal(0, 9, 3)),
            r"shape \(9, 2\), generated ones \(9, 3\)",
        ),
        (
            lambda: frechet_distance(normal(0, 9, 2), np.full((9, 2), np.nan)),
            "needs finite features of the generated points",
        ),
        (
            lambda: frechet_distance(normal(0, 9, 2), normal(0, 1, 2)),
            "needs 2 generated points or more: 1 are",
        ),
        (
            lambda: compare_classes(np.array([1]), np.array([], int), 2),
            "needs generated labels",
        ),
        (
            lambda: compare_classes(np.array([0, 3]), np.array([1]), 3),
            "needs real labels from 0 to 2: they range from 0 to 3",
        ),
        (
            lambda: fit_principal_components(normal(0, 9, 2, 2, 1), 5),
            r"needs 5 images and values of each or more: shape \(9, 2, 2",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(call, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        call()

import numpy as np
import pytest

from vae.latents.edit import (
    class_mean_direction,
    edit,
    measure_edit,
    probe_direction,
)
from vae.types import UserError


def two_classes(count: int = 40_000) -> tuple[np.ndarray, ...]:
    """Gaussians of one covariance: codes [N, 3], classes, difference of the means,
    covariance."""
    random = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.7, 0.0], [0.7, 1.0, 0.0], [0.0, 0.0, 0.01]])
    difference = np.array([1.0, 0.2, 0.05])
    classes = random.random(count) < 0.3
    noise = random.multivariate_normal(np.zeros(3), covariance, count)
    codes = 0.5 + noise + classes[:, None] * difference
    return codes, classes, difference, covariance


def test_the_class_means_differ_by_their_direction() -> None:
    codes, classes, difference, _ = two_classes()
    # Standard errors are at most sqrt(1 / 12,000 + 1 / 28,000).
    np.testing.assert_allclose(
        class_mean_direction(codes, classes), difference, atol=4 * 0.011
    )
    with_it, without = np.array([[1.0, 5.0], [3.0, 7.0]]), np.array([[1.0, 1.0]])
    direction = class_mean_direction(
        np.concatenate([with_it, without]), np.array([True, True, False])
    )
    np.testing.assert_array_equal(direction, [1.0, 5.0])


def test_the_probes_normal_is_that_of_the_best_classifier() -> None:
    """Between Gaussians of one covariance S that is S^-1 (m1 - m0)."""
    codes, classes, difference, covariance = two_classes()
    direction = probe_direction(codes, classes)
    truth = np.linalg.solve(covariance, difference)
    cosine = direction @ truth / np.linalg.norm(direction) / np.linalg.norm(truth)
    assert cosine > 0.999
    # The class means are elsewhere.
    assert difference @ truth / np.linalg.norm(difference) < 0.5 * np.linalg.norm(truth)


def test_strength_1_moves_from_class_to_class_as_the_probe_sees_it() -> None:
    codes, classes, _, _ = two_classes(2_000)
    by_means, by_probe = (
        direction(codes, classes)
        for direction in (class_mean_direction, probe_direction)
    )
    there = codes[classes].mean(axis=0)
    edited = edit(codes[~classes], by_means, 1).mean(axis=0)
    np.testing.assert_allclose(edited, there, atol=1e-12)
    edited = edit(codes[~classes], by_probe, 1).mean(axis=0)
    assert edited @ by_probe == pytest.approx(there @ by_probe)
    assert by_means @ by_probe == pytest.approx(by_probe @ by_probe)


def test_an_edit_is_proportional_to_its_strength() -> None:
    codes = np.array([[0.0, 1.0], [2.0, 3.0]])
    edited = edit(codes, np.array([1.0, -1.0]), -0.5)
    np.testing.assert_array_equal(edited, [[-0.5, 1.5], [1.5, 3.5]])


@pytest.mark.parametrize("direction", [class_mean_direction, probe_direction])
@pytest.mark.parametrize("has", [True, False])
def test_an_attribute_must_tell_images_apart(direction, has: bool) -> None:
    with pytest.raises(UserError, match=f"{4 * has} of 4 images have the attribute"):
        direction(np.eye(4), np.full(4, has))


def test_the_effect_of_an_edit_counts_images() -> None:
    before = {
        "smile": np.array([0, 0, 0, 1]),
        "hat": np.array([True, True, False, False]),
        "age": np.array([3, 1, 2, 2]),
    }
    after = {
        "smile": np.array([1, 1, 0, 1]),
        "hat": np.array([True, True, False, True]),
        "age": np.array([3, 2, 1, 2]),
    }
    effect = measure_edit(before, after, "smile", 1)
    assert (effect.reached, effect.already) == (0.75, 0.25)
    assert effect.kept_per_attribute == {"hat": 0.75, "age": 0.5}
    assert effect.kept == 0.625
    only = {"smile": before["smile"]}
    assert np.isnan(measure_edit(only, only, "smile", 1).kept)

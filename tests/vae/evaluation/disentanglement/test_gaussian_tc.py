import numpy as np
import pytest

from vae.evaluation.disentanglement.gaussian_tc import gaussian_total_correlation


def codes_with(covariance: np.ndarray) -> np.ndarray:
    """Returns codes [200, D] whose sample covariance is this one exactly."""
    random = np.random.default_rng(0)
    noise = random.normal(size=(200, len(covariance)))
    white, _ = np.linalg.qr(noise - noise.mean(axis=0))
    return white @ np.linalg.cholesky(covariance).T + 3.0


@pytest.mark.parametrize("correlation", [0.0, 0.5, -0.99])
def test_two_dimensions_in_closed_form(correlation: float) -> None:
    covariance = np.array([[4.0, 2 * correlation], [2 * correlation, 1.0]])
    got = gaussian_total_correlation(codes_with(covariance))
    assert got == pytest.approx(-np.log(1 - correlation**2) / 2, abs=1e-10)


def test_many_dimensions_in_closed_form() -> None:
    """Equal correlations c: det = (1 - c)^(D - 1) (1 + (D - 1) c)."""
    covariance = 0.3 + 0.7 * np.eye(10)
    expected = -(9 * np.log(0.7) + np.log(1 + 9 * 0.3)) / 2
    got = gaussian_total_correlation(codes_with(covariance))
    assert got == pytest.approx(expected, abs=1e-10)


def test_dimensions_that_do_not_vary_depend_on_nothing() -> None:
    codes = codes_with(np.array([[1.0, 0.8], [0.8, 1.0]]))
    padded = np.insert(codes, 1, 0.3, axis=1)
    expected = gaussian_total_correlation(codes)
    assert gaussian_total_correlation(padded) == pytest.approx(expected, abs=1e-12)
    assert gaussian_total_correlation(padded[:, :2]) == 0


def test_a_function_of_other_dimensions_depends_on_them_wholly() -> None:
    codes = codes_with(np.eye(3))
    copied = np.concatenate([codes, codes[:, :1] - codes[:, 1:2]], axis=1)
    assert gaussian_total_correlation(copied) == np.inf

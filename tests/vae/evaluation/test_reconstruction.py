import numpy as np
import pytest

from tests.helpers import linear_gaussian as exact
from tests.helpers.trained import linear
from vae.evaluation.reconstruction import run


@pytest.mark.parametrize(("shift", "widening"), [(0.0, 1.0), (0.5, 2.0)])
def test_it_is_the_closed_form_of_a_linear_model(shift: float, widening: float) -> None:
    """|x - W z|^2 with z ~ N(m, S) is r^2 + tr(C) in the mean, r = x - W m and
    C = W S W^T, and its variance is 4 r^T C r + 2 tr(C^2)."""
    count = 2_000
    found = run(linear(count, exact.params(shift, widening), 1))
    x = exact.images(count).reshape(count, 4).astype(np.float64)
    weights = exact.WEIGHTS
    precision = np.eye(2) + weights.T @ weights / exact.SCALE**2
    covariance = np.linalg.inv(precision) * widening**2
    means = x @ weights @ np.linalg.inv(precision) / exact.SCALE**2 + shift
    rest, spread = x - means @ weights.T, weights @ covariance @ weights.T
    expected = (rest**2).sum(1) + np.trace(spread)
    variance = 4 * np.einsum("ni,ij,nj->n", rest, spread, rest)
    variance += 2 * np.trace(spread @ spread)
    np.testing.assert_allclose(
        found["test/reconstruction_mse"],
        expected.mean() / 4,
        atol=5 * np.sqrt(variance.mean() / count) / 4,
    )
    # Over images, too: of all that varies.
    deviation = np.sqrt(expected.var() + variance.mean()) / 4
    stderr = found["test/reconstruction_mse_stderr"]
    np.testing.assert_allclose(stderr, deviation / np.sqrt(count), rtol=0.15)


def test_a_single_image_has_no_standard_error() -> None:
    assert run(linear(1, exact.params(), 1)).keys() == {"test/reconstruction_mse"}

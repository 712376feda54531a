import numpy as np
import pytest

from tests.helpers import linear_gaussian as exact
from tests.helpers.trained import linear
from vae.evaluation.fitted_density import applies, run


@pytest.mark.slow
def test_one_component_is_the_gaussian_of_the_codes() -> None:
    """Training and test images are the same, of the same noise but for its key. The
    codes of the exact posterior are N(0, I), so that their cross-entropy with what is
    fitted to them is the entropy, log 2 pi e."""
    count = 4_000
    found = run(linear(count, exact.params(), 1), components=1)
    # The deviation of -log p of a code is one nat; five fitted parameters cost
    # 5 / 2 / 4,000.
    entropy = np.log(2 * np.pi * np.e)
    nll = found["latent/fitted1_nll_nats"]
    np.testing.assert_allclose(nll, entropy, atol=5 / np.sqrt(count))
    drawn = found["fitted_codes"]
    assert drawn.shape == (128, 2)
    np.testing.assert_allclose(drawn.mean(0), 0, atol=5 / np.sqrt(128))
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(2), atol=5 * (2 / 128) ** 0.5)


@pytest.mark.slow
def test_wider_posteriors_have_wider_codes() -> None:
    """Of N(0, I + (w^2 - 1) S) for posteriors of covariance S widened by w."""
    found = run(linear(4_000, exact.params(0.5, 3.0), 1), components=1)
    precision = np.eye(2) + exact.WEIGHTS.T @ exact.WEIGHTS / exact.SCALE**2
    covariance = np.eye(2) + (3.0**2 - 1) * np.linalg.inv(precision)
    _, log_det = np.linalg.slogdet(covariance)
    expected = np.log(2 * np.pi * np.e) + log_det / 2
    np.testing.assert_allclose(
        found["latent/fitted1_nll_nats"], expected, atol=5 / np.sqrt(4_000)
    )


def test_no_more_components_than_codes() -> None:
    subject = linear(40, exact.params(), 1).subject
    assert applies(subject, components=40) is None
    reason = applies(subject, components=41)
    assert reason == "asks for 41 components, more than the 40 codes"

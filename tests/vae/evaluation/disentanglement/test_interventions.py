import numpy as np
import pytest

from tests.helpers import grids
from vae.evaluation.disentanglement.interventions import (
    Points,
    beta_vae,
    factor_vae,
)
from vae.types import Unsupported

SOURCE = grids.grid(3, 4, 2, 3, 2)
POINTS = Points(num_train=1000, num_test=500, batch_size=16)


def score(metric, encode, **points: int) -> float:
    random = np.random.default_rng(0)
    return metric(encode, SOURCE, random, POINTS._replace(**points))


@pytest.mark.parametrize("metric", [beta_vae, factor_vae])
def test_an_aligned_code_tells_every_factor(metric) -> None:
    assert score(metric, grids.aligned(SOURCE)) == 1


@pytest.mark.parametrize("metric", [beta_vae, factor_vae])
def test_noise_tells_one_factor_in_five(metric) -> None:
    """Learnt by heart from so few points in so many dimensions, it would tell more."""
    noise = np.random.default_rng(1)
    got = score(
        metric,
        lambda factors: noise.normal(size=(len(factors), 50)),
        num_train=200,
        batch_size=4,
    )
    assert got == pytest.approx(1 / 5, abs=4 * np.sqrt(0.2 * 0.8 / 500))


def test_a_constant_code_tells_nothing() -> None:
    assert score(factor_vae, grids.constant(SOURCE)) == 0
    # The most frequent factor is told each time.
    got = score(beta_vae, grids.constant(SOURCE))
    assert got == pytest.approx(1 / 5, abs=4 * np.sqrt(0.2 * 0.8 / 500))


def test_collapsed_dimensions_have_no_vote() -> None:
    """Only a dimension of scale .04 knows of factor 0, a fifth of the points."""

    def encode(factors: np.ndarray) -> np.ndarray:
        return grids.aligned(SOURCE)(factors) * [0.04, 1, 1, 1, 1]

    got = score(factor_vae, encode)
    assert got == pytest.approx(4 / 5, abs=4 * np.sqrt(0.2 * 0.8 / 500))
    assert score(beta_vae, encode) > 0.9
    assert score(factor_vae, lambda f: encode(f) * [1.5, 1, 1, 1, 1]) == 1


def test_votes_are_in_units_of_the_dimensions_variance() -> None:
    """Noise of a tenth of it outweighs by far the variance of smaller dimensions."""
    noise = np.random.default_rng(1)

    def encode(factors: np.ndarray) -> np.ndarray:
        codes = grids.aligned(SOURCE)(factors)
        codes += np.sqrt(0.1) * noise.normal(size=codes.shape)
        return codes * [0.1, 1, 10, 100, 1000]

    assert score(factor_vae, encode) > 0.99


def asked(metric, **points: int) -> np.ndarray:
    """Returns the factors int [N, F] of all images that a metric asks for."""
    rows = []

    def encode(factors: np.ndarray) -> np.ndarray:
        rows.append(factors.copy())
        return grids.aligned(SOURCE)(factors)

    score(metric, encode, **points)
    return np.concatenate(rows)


def test_each_pair_shares_a_value_of_its_own() -> None:
    pairs = asked(beta_vae).reshape(1500, 2, 16, 5)
    shares = (pairs[:, 0] == pairs[:, 1]).all(axis=1)  # [1500, F]
    assert (shares.sum(axis=1) == 1).mean() > 0.99  # 16 chance pairs of two values
    values = pairs[:, 0].transpose(0, 2, 1)[shares]
    assert (np.ptp(values, axis=1) > 0).mean() > 0.99


def test_each_batch_shares_one_value() -> None:
    batches = asked(factor_vae, batch_size=16)[1000:].reshape(1500, 16, 5)
    shares = np.ptp(batches, axis=1) == 0
    assert shares.any(axis=1).all()
    assert (shares.sum(axis=1) == 1).mean() > 0.99


def test_too_few_points_to_learn_from_are_refused() -> None:
    with pytest.raises(Unsupported, match="more than 4 training points"):
        score(beta_vae, grids.aligned(SOURCE), num_train=4)

import numpy as np
import pytest

from tests.helpers import grids
from vae.evaluation.disentanglement.codes import Sample
from vae.evaluation.disentanglement.sap import sap


def test_one_of_two_values_is_told_by_chance_from_other_dimensions() -> None:
    source = grids.grid(2, 2, 2)
    sample = grids.whole_sample(grids.aligned(source), source)
    assert sap(sample, sample) == pytest.approx(1 - 1 / 2, abs=1e-12)
    # The accuracy is that in the test images: wrong here, and no dimension is best.
    for test in (
        Sample(sample.codes, 1 - sample.factors),
        Sample(-sample.codes, sample.factors),
    ):
        assert sap(sample, test) == pytest.approx(1 / 2 - 1 / 2, abs=1e-12)


@pytest.mark.parametrize("continuous", [False, True])
def test_duplicated_and_constant_codes_have_no_gap(continuous: bool) -> None:
    source = grids.grid(3, 2, 4)
    for encode in (grids.duplicated(source), grids.constant(source)):
        sample = grids.whole_sample(encode, source)
        assert sap(sample, sample, continuous=continuous) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("degrees", [0, 10, 30, 45])
def test_the_gap_of_squared_correlations_under_a_rotation(degrees: int) -> None:
    """They are cos^2 and sin^2 of the angle, whose difference is cos of twice it."""
    source = grids.grid(4, 7)
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    sample = grids.whole_sample(lambda f: grids.aligned(source)(f) @ matrix, source)
    expected = np.cos(2 * angle)
    assert sap(sample, sample, continuous=True) == pytest.approx(expected, abs=1e-12)

import pytest

from tests.helpers import grids
from vae.evaluation.disentanglement.representation import Sample
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


def test_duplicated_and_constant_codes_have_no_gap() -> None:
    source = grids.grid(3, 2, 4)
    for encode in (grids.duplicated(source), grids.constant(source)):
        sample = grids.whole_sample(encode, source)
        assert sap(sample, sample) == pytest.approx(0, abs=1e-12)

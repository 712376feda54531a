"""Data that no model can be trained on are refused."""

from pathlib import Path

import numpy as np
import pytest

from tests.vae.data.test_load import GREY, config_of
from vae.build import build
from vae.data.checks import check_labels, check_scale, check_support
from vae.data.columns import Column
from vae.data.splits import Dataset, Split
from vae.models.counts import Poisson
from vae.models.likelihoods import Bernoulli, Gaussian
from vae.types import UserError


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_shared"])
def test_floats_of_bytes_are_refused_with_their_range(
    tmp_path: Path, likelihood: str
) -> None:
    config = config_of(GREY.astype(np.float32), tmp_path, likelihood=likelihood)
    with pytest.raises(UserError, match="hold values from 0 to 255"):
        build(config)


def of_train(rows: np.ndarray, labels: np.ndarray | None = None) -> Dataset:
    split = Split(np.asarray(rows, np.float32), labels)
    return Dataset(split, split[:0], split)


def test_a_column_of_another_scale_is_named() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3)) * [1, 1e3, 1]
    rows[3, 1] = np.nan
    named = of_train(rows)._replace(columns=tuple(map(Column, ("a", "income", "c"))))
    with pytest.raises(UserError, match="in column income, and .*=standardize"):
        check_scale(named, Gaussian.encoder_view)
    check_scale(of_train(np.abs(rows)), Poisson.encoder_view)  # log(1 + x)


def test_missing_values_are_outside_no_support() -> None:
    rows = np.array([[0, np.nan], [1, 1]])
    check_support(of_train(rows), Bernoulli(), "bernoulli")
    with pytest.raises(UserError, match="the train vectors hold other values, .* 2"):
        check_support(of_train(2 * rows), Bernoulli(), "bernoulli")


@pytest.mark.parametrize("labels", [None, np.array([0, -1]), np.array([0, 10_000])])
def test_labels_that_condition_nothing(labels: np.ndarray | None) -> None:
    with pytest.raises(UserError, match="model.condition=label needs labels"):
        check_labels(of_train(np.zeros((2, 2)), labels))

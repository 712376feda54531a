import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.vae.test_registry import tiny_config
from vae.build import build
from vae.data import scaling
from vae.data.columns import BINARY, CATEGORY, COUNT, Column
from vae.types import UserError

ROWS = np.random.default_rng(0).gamma(2, 3, (9_000, 4)).astype(np.float32)
ROWS[:, 1] *= 1e4
ROWS[::7, 2] = np.nan


def test_standardize_gives_mean_zero_and_deviation_one_in_blocks() -> None:
    u = scaling.fit("standardize", ROWS).apply(ROWS)
    np.testing.assert_allclose(np.nanmean(u, 0, np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(u, 0, np.float64), 1, rtol=1e-5)
    np.testing.assert_array_equal(np.isnan(u), np.isnan(ROWS))


def test_robust_does_not_see_outliers() -> None:
    rows = np.random.default_rng(1).normal(5, 2, (20_001, 1)).astype(np.float32)
    found = scaling.fit("robust", rows)
    np.testing.assert_allclose([found.loc[0], found.scale[0]], [5, 2], rtol=0.03)
    rows[:100] = 1e9
    np.testing.assert_allclose(scaling.fit("robust", rows).scale, 2, rtol=0.05)


@pytest.mark.parametrize("method", ["standardize", "robust"])
def test_a_constant_column_becomes_zeros(method: str) -> None:
    rows = np.full((50, 2), 0.1, np.float32)
    rows[0, 1] = 7  # no quartile sees it, but the standard deviation does
    u = scaling.fit(method, rows).apply(rows)
    np.testing.assert_array_equal(u[:, 0], 0)
    assert np.isfinite(u).all() and u[0, 1] > 1


@pytest.mark.parametrize("method", scaling.METHODS)
def test_the_inverse_and_the_jacobian(method: str) -> None:
    fitted = scaling.fit(method, ROWS)
    u = fitted.apply(ROWS)
    np.testing.assert_allclose(fitted.invert(u), ROWS, rtol=2e-5, atol=2e-5)
    x = ROWS[1]
    np.testing.assert_allclose(fitted.apply(jnp.asarray(x)), u[1], rtol=1e-6)
    _, expected = np.linalg.slogdet(jax.jacobian(fitted.apply)(jnp.asarray(x)))
    np.testing.assert_allclose(fitted.log_jacobian(u[1]), expected, rtol=1e-5)
    missing = fitted.log_jacobian(fitted.apply(np.array([x[0], *[np.nan] * 3])))
    alone = fitted._replace(**{n: a[:1] for n, a in fitted._asdict().items()})
    np.testing.assert_allclose(missing, alone.log_jacobian(u[1, :1]), rtol=1e-6)


def test_of_a_table_real_columns_are_scaled() -> None:
    kinds = Column("a"), Column("b", BINARY), Column("c", CATEGORY, ("x",))
    fitted = scaling.fit("standardize", ROWS, (*kinds, Column("d", COUNT)))
    np.testing.assert_array_equal(fitted.loc[1:], 0)
    np.testing.assert_array_equal(fitted.scale[1:], 1)
    assert fitted.loc[0] != 0


def test_json_holds_every_bit() -> None:
    fitted = scaling.fit("standardize", ROWS)
    again = scaling.from_plain(json.loads(json.dumps(fitted.as_plain())))
    for ours, theirs in zip(fitted, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_it_is_fitted_to_the_training_data_alone(tmp_path) -> None:
    rows = np.random.default_rng(0).normal(3, 2, (40, 5)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x_train=rows[:30], x_test=rows[30:] + 100)
    config = tiny_config(f"npz:{tmp_path}/a.npz", likelihood="gaussian_shared")
    config.dataset.scale, config.dataset.validation_size = "standardize", 10
    data = build(config).dataset
    assert data.scaling is not None
    np.testing.assert_allclose(data.scaling.loc, rows[:20].mean(0), rtol=1e-6)
    np.testing.assert_allclose(data.train.images.mean(0), 0, atol=1e-6)
    assert data.test.images.min() > 20


@pytest.mark.parametrize(
    ("x", "scale", "message"),
    [
        (np.zeros((20, 8, 8, 1), np.uint8), "robust", "but the data are images"),
        (np.eye(20) > 0, "standardize", "but the data are bool"),
        (-np.eye(20), "log1p", r"the train data hold -1 at \[0, 0\] counted from 0"),
    ],
)
def test_what_cannot_be_scaled_is_refused(
    x, scale: str, message: str, tmp_path
) -> None:
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x)
    config = tiny_config(f"npz:{tmp_path}/a.npz", likelihood="gaussian_shared")
    config.dataset.scale = scale
    with pytest.raises(UserError, match=message):
        build(config)

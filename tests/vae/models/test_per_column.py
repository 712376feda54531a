"""The likelihood of a table, from its columns to trained models."""

import csv
import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae
from experiments import encode, evaluate, export, score, train
from tests.helpers.tables import save_table, use_table
from tests.vae.test_registry import tiny_config
from vae.build import build
from vae.data.columns import BINARY, CATEGORY, COUNT, REAL, Column
from vae.data.load import other_images
from vae.data.splits import Split
from vae.distributions.observed import of_observed
from vae.models.counts import NegativeBinomial
from vae.models.likelihoods import MIN_VARIANCE, Bernoulli
from vae.models.per_column import GaussianPerColumn, OneHot, PerColumn, per_column
from vae.saved import read_json
from vae.types import Unsupported, UserError

COLUMNS = (
    Column("age"),
    Column("colour", CATEGORY, ("blue", "green", "red")),
    Column("is_old", BINARY),
    Column("visits", COUNT),
    Column("sex", CATEGORY, ("f", "m")),
    Column("height"),
)
TABLE = per_column(columns=COLUMNS)
ROW = np.float32([0.7, 0, 1, 0, 1, 40, 1, 0, -2])
FEATURES = jax.random.normal(jax.random.key(0), (7, 9))


def begun(module: Any, features: Any) -> Any:
    return module.init_with_output(
        jax.random.key(0), jnp.asarray(features), event_dim=1
    )


def alone(module: Any, places: list[int]) -> jax.Array:
    """Log p of some values of the row, by the likelihood of their kind."""
    likelihood, _ = begun(module, FEATURES[:, places])
    return likelihood.log_prob(jnp.asarray(ROW[places]))


@pytest.mark.slow
def test_it_is_the_product_of_the_likelihoods_of_the_kinds() -> None:
    likelihood, _ = begun(TABLE, FEATURES)
    assert (likelihood.batch_shape, likelihood.event_shape) == ((7,), (9,))
    parts = [
        alone(GaussianPerColumn(), [0, 8]),
        alone(OneHot((3,)), [1, 2, 3]),
        alone(OneHot((2,)), [6, 7]),
        alone(Bernoulli(), [4]),
        alone(NegativeBinomial(), [5]),
    ]
    got = likelihood.log_prob(jnp.asarray(ROW))
    np.testing.assert_allclose(got, sum(parts), rtol=1e-5)


def test_what_is_missing_has_no_part_in_it() -> None:
    """A category by all its values at once."""
    likelihood, _ = begun(TABLE, FEATURES)
    row = np.where([0, 1, 1, 1, 0, 1, 0, 0, 0], np.nan, ROW)
    got = of_observed(likelihood).log_prob(jnp.float32(row))
    parts = [
        alone(GaussianPerColumn(), [0, 8]),
        alone(OneHot((2,)), [6, 7]),
        alone(Bernoulli(), [4]),
    ]
    np.testing.assert_allclose(got, sum(parts), rtol=1e-5)


@pytest.mark.slow
def test_a_discrete_table_has_total_mass_one() -> None:
    columns = [column for column in COLUMNS if column.kind != REAL]
    module = per_column(columns=columns)
    assert module.is_discrete and not TABLE.is_discrete
    likelihood, _ = begun(module, FEATURES[:3, :7])
    rows = [
        [*a, b, c, *d]
        for a, b, c, d in itertools.product(np.eye(3), (0, 1), range(200), np.eye(2))
    ]
    log_mass = likelihood.log_prob(jnp.float32(rows)[:, None])
    np.testing.assert_allclose(np.exp(log_mass).sum(0), 1, rtol=1e-4)


@pytest.mark.slow
def test_draws_have_the_moments_and_lie_in_the_support() -> None:
    likelihood, _ = begun(TABLE, FEATURES[:1])
    observed = of_observed(likelihood)
    draws = np.asarray(likelihood.sample(jax.random.key(1), (40_000,)))
    assert draws.shape == (40_000, 1, 9) and TABLE.supports(draws)
    spread = np.sqrt(observed.variance)
    np.testing.assert_allclose(draws.mean(0), likelihood.mean, atol=0.03 * spread.max())
    np.testing.assert_allclose(draws.std(0), spread, rtol=0.05)


def test_features_of_mean_invert_the_mean() -> None:
    mean = np.array([3.0, 0.2, 0.3, 0.5, 0.25, 40.0, 0.5, 0.5, -1.0])
    likelihood, _ = begun(TABLE, TABLE.features_of_mean(mean))
    np.testing.assert_allclose(likelihood.mean, mean, rtol=1e-5)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, np.inf), (0, np.nan), (2, 0.0), (1, 1.0), (3, 0.5), (4, 2.0), (5, 0.5)],
)
def test_the_support_is_that_of_each_kind(place: int, value: float) -> None:
    assert TABLE.supports(ROW[None]) and not TABLE.is_binary()
    wrong = ROW.copy()
    wrong[place] = value
    assert not TABLE.supports(np.stack([ROW, wrong]))


def test_missing_values_lie_in_the_support_of_what_is_observed() -> None:
    whole = np.float32([[1, 1, 1, 1, 1, 1, 1, 1, 1]])
    for column in ([0, 8], [1, 2, 3], [4], [5], [6, 7]):
        row = ROW.copy()
        row[column] = np.nan
        assert TABLE.supports_observed(row[None])
    for place in (1, 2, 6):  # a part of a category
        row = ROW.copy()
        row[place] = np.nan
        assert not TABLE.supports_observed(row[None])
    assert not TABLE.supports_observed(whole)


def test_the_encoder_sees_the_logarithm_of_counts_only() -> None:
    expected = [*ROW[:5], np.log1p(ROW[5]), *ROW[6:]]
    on_host, seen = TABLE.encoder_view(ROW), TABLE.encoder_view(jnp.asarray(ROW))
    assert isinstance(on_host, np.ndarray) and isinstance(seen, jax.Array)
    np.testing.assert_allclose(on_host, expected, rtol=1e-6)
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


@pytest.mark.slow
def test_scales_and_dispersions_are_parameters_within_bounds() -> None:
    _, variables = begun(TABLE, FEATURES)
    shapes = jax.tree.map(np.shape, variables["params"])
    assert shapes == {
        "parts_real": {"log_variance": (2,)},
        "parts_count": {"log_inverse_dispersion": (1,)},
    }
    low = jax.tree.map(lambda leaf: leaf - 1e3, variables)
    x = jnp.asarray(ROW)

    def total(variables: Any) -> jax.Array:
        return TABLE.apply(variables, FEATURES, event_dim=1).log_prob(x).sum()

    variance = of_observed(TABLE.apply(low, FEATURES, event_dim=1)).variance
    np.testing.assert_allclose(variance[:, [0, 8]], MIN_VARIANCE, rtol=1e-4)
    value, grads = jax.value_and_grad(total)(low)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_data_without_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="needs a table, whose columns have kinds"):
        per_column(columns=())
    config = tiny_config("mnist_5k", likelihood="per_column")
    with pytest.raises(UserError, match=r"^model.likelihood.name=per_column needs a"):
        build(config)


def test_other_rows_are_checked_by_their_kinds(tmp_path: Path) -> None:
    config = tiny_config("", likelihood="per_column")
    use_table(config, tmp_path / "a.csv")
    experiment = build(config)
    model, everything = experiment.model, experiment.data.everything
    assert isinstance(model.likelihood, PerColumn)
    stored = everything.test.images
    scaled = everything.scaling.invert(stored)
    given = config, everything, model.likelihood
    got = other_images(*given, Split(scaled, None), "--data=b", name="table:b")
    np.testing.assert_allclose(got.images, stored, rtol=1e-5, atol=1e-6)
    half = np.where(np.arange(scaled.shape[1]) == 4, 0.5, scaled)  # visits
    with pytest.raises(UserError, match="whole|counts 0, 1, 2"):
        other_images(*given, Split(half, None), "--data=b", name="table:b")


@pytest.mark.slow
def test_a_table_with_holes_from_launch_to_export(
    small_config: Any, tmp_path: Path
) -> None:
    """It learns, and the export gives the bits of the run."""
    config, folder = small_config, tmp_path / "run"
    use_table(config, tmp_path / "a.csv", rows=500, missing=0.15)
    config.dataset.missing = "observed_only"
    config.model.likelihood.name = "per_column"
    config.objective.name, config.objective.num_samples = "iwae", 5
    config.train.steps, config.runtime.steps_per_call = 600, 100
    config.runtime.checkpoint_every = 0
    config.optimizer.learning_rate = 3e-3
    train.run(config, folder)
    results = read_json(folder / "results.json") or {}
    assert results["latent/active_units"] >= 1
    evaluate.run(None, folder)
    with (folder / "images/columns.csv").open() as file:
        rows = {row["column"]: row for row in csv.DictReader(file)}
    assert {"age", "colour=blue", "colour=red", "sex=f", "visits"} < rows.keys()
    assert float(rows["visits"]["explained"]) > 0.25
    other = save_table(tmp_path / "b.csv", rows=30, missing=0.3)
    (tmp_path / "a.csv").unlink()
    score.run(folder, other, 0.05)
    export.run(folder, tmp_path / "export", license="cc0-1.0")
    for name, place in (("run", folder), ("export", tmp_path / "export")):
        encode.run(place, other, tmp_path / f"{name}.npz")
    of_run, of_export = (np.load(tmp_path / f"{n}.npz") for n in ("run", "export"))
    for key in of_run.files:
        np.testing.assert_array_equal(of_run[key], of_export[key])
    opened = vae.load(tmp_path / "export")
    assert isinstance(opened.model.likelihood, PerColumn)
    assert opened.sample(jax.random.key(0), 3).shape == (3, 8)

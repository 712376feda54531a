import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import linear_gaussian as exact
from tests.helpers.trained import linear
from tests.vae.evaluation.test_impute import MODEL, params
from vae.data.columns import Column
from vae.data.preprocess import make_preprocess
from vae.data.splits import Dataset
from vae.evaluation import imputation
from vae.evaluation.base import Trained
from vae.evaluation.registry import EVALUATIONS


def make(count: int) -> Trained:
    """The linear model of missing values, with its own data: half of it is test."""
    trained = linear(2 * count, params()["params"], 1)
    images = trained.subject.dataset.train
    dataset = Dataset(images[:count], images[:0], images[count:])

    def compiled(make, *arguments):
        return jax.jit(make(MODEL, trained.subject.preprocess, *arguments))

    subject = trained.subject._replace(model=MODEL, dataset=dataset)
    return trained._replace(subject=subject, compiled=compiled)


@pytest.mark.slow
def test_the_exact_model_covers_and_no_regression_is_better() -> None:
    """Regressions, with enough data, are as good as the model that drew the data."""
    count = 2_000
    found = imputation.run(make(count), hide=0.5, importance_samples=2_000)
    fields = {"hide": 0.5, "importance_samples": 2_000}
    assert EVALUATIONS["imputation"].shows(1, **fields).items() <= found.items()
    error = np.sqrt(0.9 * 0.1 / (2 * count))
    assert abs(found["imputation/coverage90"] - 0.9) < 5 * error
    least = found["imputation/rmse"]
    assert exact.SCALE < least < found["imputation/knn_rmse"]
    assert least < found["imputation/iterative_rmse"] * 1.02
    # Of values of mean zero: the root of the mean variance.
    variance = (exact.WEIGHTS**2).sum(1) + exact.SCALE**2
    expected = np.sqrt(variance.mean())
    np.testing.assert_allclose(found["imputation/mean_rmse"], expected, rtol=0.05)


def test_what_is_hidden_does_not_depend_on_the_batch(monkeypatch) -> None:
    whole = imputation.run(make(50), hide=0.3, importance_samples=50)
    monkeypatch.setattr(imputation, "ROWS", 7 * 50)
    again = imputation.run(make(50), hide=0.3, importance_samples=50)
    assert whole["imputation/mean_rmse"] == again["imputation/mean_rmse"]
    np.testing.assert_allclose(
        whole["imputation/rmse"], again["imputation/rmse"], rtol=1e-5
    )


def test_columns_are_hidden_as_a_whole() -> None:
    """A visible 1 of a category would tell that the others are 0."""
    trained, count, widths = make(200), 200, (1, 3)
    test = trained.subject.dataset.test
    compute = trained.compiled(imputation.make_hidden, 0.3, 5, widths)
    given, _, _ = compute(trained.variables, trained.seed, test, np.arange(count))
    hidden = np.isnan(given).reshape(count, 4)
    assert (hidden[:, 1:] == hidden[:, 1:2]).all()
    assert (hidden[:, 0] != hidden[:, 1]).any()
    error = np.sqrt(0.3 * 0.7 / count)
    assert (np.abs(hidden.mean(0) - 0.3) < 4 * error).all()
    columns = Column("a"), Column("b", "category", ("x", "y", "z"))
    dataset, asked = trained.subject.dataset._replace(columns=columns), []

    def compiled(make, *arguments):
        asked.append(arguments)
        return trained.compiled(make, *arguments)

    subject = trained.subject._replace(dataset=dataset)
    of_table = trained._replace(subject=subject, compiled=compiled)
    imputation.run(of_table, hide=0.3, importance_samples=5)
    assert asked == [(0.3, 5, widths)]


def test_bool_values_are_zeros_and_ones() -> None:
    trained, found = make(60), []
    for black, dtype in ((1, np.float32), (255, np.uint8)):
        dataset = trained.subject.dataset.map(
            lambda s, black=black, dtype=dtype: s._replace(
                images=(s.images > 0).astype(dtype) * dtype(black)
            )
        )

        def compiled(make, *arguments):
            unit = make_preprocess("none", jnp.float32)
            return jax.jit(make(MODEL, unit, *arguments))

        subject = trained.subject._replace(dataset=dataset)
        of_type = trained._replace(subject=subject, compiled=compiled)
        found.append(imputation.run(of_type, hide=0.3, importance_samples=50))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_model_of_whole_rows_says_why_not() -> None:
    subject = linear(4, exact.params(), 1).subject
    said = imputation.applies(subject, hide=0.5, importance_samples=3) or ""
    assert "set dataset.missing=observed_only" in said
    assert imputation.applies(make(4).subject, hide=0.5, importance_samples=3) is None

"""How well missing values are imputed, by hiding observed ones."""

import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from vae import rng
from vae.data.preprocess import to_unit
from vae.data.splits import Split, evenly_spaced
from vae.evaluation.base import Preprocess, Subject, Trained, look_at, map_batches
from vae.evaluation.impute import ROWS, make_impute
from vae.fields import Count, Field
from vae.models.base import Model
from vae.types import Array, Params

NOISE = "imputation"  # names the draws of what is hidden
COVERED = 0.9  # by the intervals
MOST = 5_000  # training rows of the other imputers

Hide = Annotated[float, Field(at_least=0.0, at_most=1.0)]


def applies(subject: Subject, **_: Any) -> str | None:
    return (
        None
        if subject.model.observed_only
        else "needs a model of missing values: set dataset.missing=observed_only"
    )


def run(
    trained: Trained, *, hide: Hide = 0.0, importance_samples: Count = 1_000
) -> dict[str, Any]:
    """Hides a random share of the test values, and imputes them. A category is hidden
    as a whole.

    Returns:
      `imputation/hide`, the share, and `imputation/importance_samples`, the number;
      `imputation/rmse`, the root mean squared error of the hidden values, in the units
      that the model sees; `imputation/coverage90`, the share of them within 1.645
      standard deviations of the mean; and `_rmse` of scikit-learn's imputers, fitted to
      the training rows: `imputation/mean_rmse`, `imputation/knn_rmse`,
      `imputation/iterative_rmse`.
    """
    test, train = trained.subject.dataset.test, trained.subject.dataset.train
    columns, width = trained.subject.dataset.columns, np.prod(test.images.shape[1:])
    widths = tuple(column.width for column in columns) or (1,) * int(width)
    compute = trained.compiled(make_hidden, hide, importance_samples, widths)

    def of_batch(places: np.ndarray) -> Any:
        return compute(trained.variables, trained.seed, test[places], places)

    batch_size = min(test.size, max(1, ROWS // importance_samples))
    found = map_batches(of_batch, np.arange(test.size), batch_size)
    given, mean, std = (array.reshape(test.size, -1) for array in found)
    truth = np.asarray(to_unit(test.images), np.float64).reshape(given.shape)
    is_hidden = np.isnan(given) & ~np.isnan(truth)

    def rmse(imputed: np.ndarray) -> float:
        return float(np.sqrt(np.mean((imputed - truth)[is_hidden] ** 2)))

    within = np.abs(truth - mean) <= norm.ppf((1 + COVERED) / 2) * std
    some = train[evenly_spaced(train.size, min(train.size, MOST))]
    rows = to_unit(some.images).reshape(some.size, -1)
    others = {
        f"imputation/{name}_rmse": rmse(imputed)
        for name, imputed in _by_others(rows, given).items()
    }
    return {
        "imputation/hide": hide,
        "imputation/importance_samples": importance_samples,
        "imputation/rmse": rmse(mean),
        "imputation/coverage90": float(within[is_hidden].mean()),
        **others,
    }


def make_hidden(
    model: Model,
    preprocess: Preprocess,
    hide: float,
    num_samples: int,
    widths: Sequence[int],
) -> Callable[..., tuple[Array, Array, Array]]:
    """Returns (variables, seed, stored rows [B], places [B]) -> the rows with a share
    of their values hidden (nan), and mean and standard deviation of what is missing,
    all [B, D]; the columns, of these widths, are hidden as a whole."""
    impute = make_impute(model, num_samples, 0)

    def of_rows(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        x, keys = look_at(preprocess, seed, stored, places, name=NOISE)
        columns = jax.vmap(lambda key: jax.random.bernoulli(key, hide, (len(widths),)))(
            rng.each_named(keys, "hidden")
        )
        hidden = columns[:, np.repeat(np.arange(len(widths)), widths)].reshape(x.shape)
        given = jnp.where(hidden, jnp.nan, x)
        found = impute(variables, given, stored.labels, keys)
        return given, found.mean, found.std

    return of_rows


def _by_others(train: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Returns rows [N, D] whose missing values scikit-learn's imputers filled in, with
    their defaults, fitted to the training rows."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    imputers: dict[str, Any] = {
        "mean": SimpleImputer(keep_empty_features=True),
        "knn": KNNImputer(keep_empty_features=True),
        "iterative": IterativeImputer(random_state=0, keep_empty_features=True),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {name: i.fit(train).transform(rows) for name, i in imputers.items()}

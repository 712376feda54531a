"""Fills in the missing values of a user's own rows by a trained model."""

from pathlib import Path

import numpy as np

from experiments.score import slug
from experiments.terminal import say
from vae.build import from_operative
from vae.data.columns import value_names
from vae.data.load import other_images
from vae.data.options import read_options
from vae.data.sources import load_other
from vae.evaluation.base import map_batches
from vae.evaluation.impute import ROWS, Imputed
from vae.fitted import FittedVAE
from vae.saved import as_fitted, open_model
from vae.types import UserError

LOW_ESS = 30  # below, importance sampling is not exact


def run(
    folder: Path, name: str, output: Path | None, *, num_samples: int, num_draws: int
) -> None:
    """Writes rows whose missing values are filled in, with their uncertainty.

    Args:
      folder: of a run or of an exported model, trained with
        `dataset.missing=observed_only`.
      name: of the rows, as for `dataset.name`.
      output: a file; None: `imputed/NAME.npz` in the folder.
      num_samples: importance samples for each row, K.
      num_draws: multiple imputations, M.

    Raises:
      UserError: the model takes no missing values, there are no such rows, or the file
        cannot be written.
    """
    if num_samples < 1 or num_draws < 0:
        raise UserError(f"--samples={num_samples} must be at least 1, --draws 0")
    path = output or folder / "imputed" / f"{slug(name)}.npz"
    if path.suffix != ".npz":
        raise UserError(f"--output={path} must end in .npz")
    experiment, variables = open_model(folder)
    everything = experiment.data.everything
    if not experiment.model.observed_only:
        raise UserError(
            f"{folder}: the model was trained without missing values; train one with "
            "dataset.missing=observed_only"
        )
    config, where = from_operative(experiment.config), f"--data={name}"
    rows, names = load_other(
        name,
        config.runtime.data_dir,
        read_options(config),
        where=where,
        columns=everything.columns,
    )
    other_images(
        config, everything, experiment.model.likelihood, rows, where, name=name
    )
    fitted = as_fitted(experiment, variables)
    missing = int(np.isnan(rows.images).sum())
    say(f"imputing {missing} of {rows.images.size} values of {name}")
    found = impute(fitted, rows.images, num_samples, num_draws)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = value_names(everything.columns, rows.images.shape[1])
        _write_npz(path, found, names, columns)
    except OSError as error:
        raise UserError(f"--output={path} cannot be written ({error})") from error
    ess = float(np.median(found.effective_sample_size))
    say(
        f"written to {path}; effective sample size {ess:.0f} of {num_samples} (median)"
        + "; more --samples are more exact" * (ess < LOW_ESS)
    )


def impute(
    fitted: FittedVAE, x: np.ndarray, num_samples: int, num_draws: int
) -> Imputed:
    """Returns `FittedVAE.impute` of rows x [N, D], a batch at a time."""

    def of_batch(places: np.ndarray) -> Imputed:
        first = int(places[0])
        found = fitted.impute(x[places], num_samples, num_draws, first=first)
        return found._replace(draws=found.draws.swapaxes(0, 1))  # [B, M, D]

    batch_size = min(len(x), max(1, ROWS // num_samples))
    found = map_batches(of_batch, np.arange(len(x)), batch_size)
    return found._replace(draws=found.draws.swapaxes(0, 1))


def _write_npz(
    path: Path, found: Imputed, names: list[str], columns: list[str]
) -> None:
    """Writes `x` [N, D], `std` [N, D], `draws` [M, N, D], `effective_sample_size` [N],
    and what rows and columns are called, `names` [N] and `columns` [D]."""
    named = {"x" if name == "mean" else name: v for name, v in found._asdict().items()}
    named |= {"names": np.array(names), "columns": np.array(columns)}
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **named)
    partial.replace(path)

"""Fills in the missing values of a user's own rows by a trained model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments import workdir
from experiments.filled import end_of, sibling, write_filled, write_values
from experiments.score import slug
from experiments.terminal import say
from vae.build import from_operative
from vae.data.columns import Column, first_values, value_names
from vae.data.load import other_images
from vae.data.options import read_options
from vae.data.sources import load_other
from vae.evaluation.base import map_batches
from vae.evaluation.impute import ROWS, Imputed
from vae.experiment import Experiment
from vae.fitted import FittedVAE
from vae.saved import as_fitted, open_model
from vae.types import UserError

LOW_ESS = 30  # below, importance sampling is not exact


def run(
    folder: Path, name: str, output: Path | None, *, num_samples: int, num_draws: int
) -> None:
    """Writes rows whose missing values are filled in, with their uncertainty.

    A table becomes a table with the same columns, and beside it NAME_std of the
    standard deviations and NAME_draw1, NAME_draw2, ... of the multiple imputations.

    Args:
      folder: of a run or of an exported model, trained with
        `dataset.missing=observed_only`.
      name: of the rows, as for `dataset.name`.
      output: a file; None: `imputed/NAME` in the folder, which ends as the input does.
      num_samples: importance samples for each row, K.
      num_draws: multiple imputations, M.

    Raises:
      UserError: the model takes no missing values, there are no such rows, or the file
        is the data or cannot be written.
    """
    if num_samples < 1 or num_draws < 0:
        raise UserError(f"--samples={num_samples} must be at least 1, --draws 0")
    path = _path_of(folder, name, output)
    experiment, variables = open_model(folder)
    check_model(experiment, folder)
    workdir.check_output(path, experiment.config["dataset"]["name"])
    everything = experiment.data.everything
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
    is_missing = np.isnan(rows.images)
    cells = is_missing[:, first_values(everything.columns, is_missing.shape[1])]
    say(f"imputing {cells.sum()} of {cells.size} values of {name}")
    fitted = as_fitted(experiment, variables)
    found = impute(fitted, rows.images, num_samples, num_draws)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npz":
            columns = value_names(everything.columns, rows.images.shape[1])
            _write_npz(path, found, names, columns)
        else:
            _write_tables(path, name, everything.columns, found, is_missing)
    except OSError as error:
        raise UserError(f"--output={path} cannot be written ({error})") from error
    ess = float(np.median(found.effective_sample_size))
    say(
        f"written to {path}; effective sample size {ess:.0f} of {num_samples} (median)"
        + "; more --samples are more exact" * (ess < LOW_ESS)
    )


def _path_of(folder: Path, name: str, output: Path | None) -> Path:
    """Returns the file to write.

    Raises:
      UserError: it ends neither as the input does nor in .npz, or it is the input.
    """
    kind, _, place = name.partition(":")
    end = (end_of(place) if kind == "table" else "") or ".npz"
    path = output or folder / "imputed" / f"{slug(name.removesuffix('.gz'))}{end}"
    ends = dict.fromkeys((end, ".npz"))
    if not path.name.endswith(tuple(ends)):
        raise UserError(f"--output={path} must end in {' or '.join(ends)}")
    workdir.check_output(path, name)
    return path


def check_model(experiment: Experiment, folder: Path) -> None:
    """Raises UserError for models that impute nothing."""
    if not experiment.model.observed_only:
        raise UserError(
            f"{folder}: the model was trained without missing values; train one with "
            "dataset.missing=observed_only"
        )
    if experiment.model.num_labels is not None:
        raise UserError(
            f"{folder}: the model is conditional and needs labels; train one with "
            "model.condition=none"
        )
    scaling = experiment.data.everything.scaling
    if scaling is not None and scaling.is_log.any():
        raise UserError(
            f"{folder}: dataset.scale=log1p gives no means in the units of the data; "
            "train with dataset.scale=standardize"
        )


def _write_tables(
    path: Path,
    name: str,
    columns: Sequence[Column],
    found: Imputed,
    is_missing: np.ndarray,
) -> None:
    """Writes the table filled by means and by each draw, and standard deviations."""
    source = Path(name.partition(":")[2])
    by_path = {sibling(path, f"draw{m}"): x for m, x in enumerate(found.draws, 1)}
    for target, values in {path: found.mean, **by_path}.items():
        write_filled(source, target, columns, np.asarray(values), is_missing)
    write_values(sibling(path, "std"), columns, np.asarray(found.std))


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
    workdir.write_npz(path, named)

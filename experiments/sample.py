"""Writes examples that a trained model draws: images, vectors or rows of a table."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import workdir
from experiments.filled import PARQUET, end_of, write_rows
from experiments.terminal import say
from vae.data.columns import value_names
from vae.evaluation.base import map_batches
from vae.experiment import Experiment
from vae.latents.groups import of_dimensions
from vae.saved import as_fitted, open_model
from vae.types import Unsupported, UserError, noun

BATCH = 500


def run(
    folder: Path,
    output: Path | None,
    *,
    count: int,
    label: str,
    temperature: float,
    mean: bool,
    seed: int,
) -> None:
    """Writes examples of codes from the prior.

    Args:
      folder: of a run or of an exported model.
      output: a file that ends in .npz, or of a table in .csv, .tsv or .parquet; None:
        `samples.npz` or `samples.csv` in the folder.
      count: how many examples, N.
      label: of all examples, for a conditional model; "": labels are drawn, as frequent
        as in the training data.
      temperature: multiplies the prior's standard deviation.
      mean: whether examples are the means of p(x | z), or else draws from it.
      seed: of the draws.

    Raises:
      UserError: the folder holds no model, a number is out of range, the model has no
        such label or no temperature, or the file cannot be written.
    """
    if count < 1:
        raise UserError(f"--count={count} must be 1 or more")
    experiment, variables = open_model(folder)
    columns = experiment.dataset.columns
    path = output or folder / f"samples.{'csv' if columns else 'npz'}"
    is_table = bool(columns) and bool(end_of(path.name))
    if not is_table and path.suffix != ".npz":
        ends = ".npz, .csv, .tsv or .parquet" if columns else ".npz"
        raise UserError(f"--output={path} must end in {ends}")
    workdir.check_output(path, experiment.config["dataset"]["name"])
    if path.suffix == PARQUET and find_spec("pyarrow") is None:
        raise UserError(f"--output={path}: needs `pip install pyarrow`")
    labels = _labels(experiment, label, count, seed)
    of_table = _label_column(experiment, labels) if is_table else {}
    try:
        of_dimensions("--temperature", temperature, experiment.model.group_sizes)
    except ValueError as error:
        raise UserError(str(error)) from error
    fitted, key = as_fitted(experiment, variables), jax.random.key(seed)
    how: Any = {"temperature": temperature, "mean": mean}

    def of_batch(places: np.ndarray) -> jax.Array:
        given = None if labels is None else labels[places]
        of_places = jax.random.fold_in(key, places[0])
        return fitted.sample(of_places, len(places), given, **how)

    what = "rows" if columns else noun(experiment.dataset.event_shape)
    say(f"drawing {count} {what}")
    try:
        x = map_batches(of_batch, np.arange(count), min(BATCH, count))
    except Unsupported as error:
        raise UserError(
            f"--temperature={temperature}: {error}; leave it out"
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_table:
            write_rows(path, columns, x, of_table)
        else:
            _write_npz(path, x, labels, experiment)
    except OSError as error:
        raise UserError(f"--output={path} cannot be written ({error})") from error
    say(f"written to {path}")


def _labels(
    experiment: Experiment, label: str, count: int, seed: int
) -> np.ndarray | None:
    """Returns the labels [N] of a conditional model's examples.

    Raises:
      UserError: the model is not conditional, or has no such label.
    """
    if experiment.model.num_labels is None:
        if label:
            raise UserError(f"--label={label}: the model is not conditional")
        return None
    dataset, names = experiment.dataset, _texts(experiment)
    counts = np.array(dataset.count_labels())
    kept = experiment.config["dataset"]["keep_labels"] or range(len(counts))
    known = np.intersect1d(kept, np.flatnonzero(counts))
    if not label:
        shares = counts[known] / counts[known].sum()
        return np.random.default_rng(seed).choice(known, count, p=shares)
    by_name = {names(each): each for each in known.tolist()}
    if label not in by_name:
        raise UserError(f"--label={label} must be one of {', '.join(by_name)}")
    return np.full(count, by_name[label], known.dtype)


def _label_column(
    experiment: Experiment, labels: np.ndarray | None
) -> dict[str, list[str]]:
    """Returns the labels as a column of the table, if the model is given them.

    Raises:
      UserError: another column has its name, as a gene may.
    """
    if labels is None:
        return {}
    name = experiment.config["dataset"]["label_column"]
    if name in [column.name for column in experiment.dataset.columns]:
        raise UserError(
            f"two columns would have the name {name!r}: write an .npz with --output"
        )
    return {name: [*map(_texts(experiment), labels.tolist())]}


def _texts(experiment: Experiment) -> Callable[[int], str]:
    """Returns the function from a label to its text: its name, or else its number."""
    names = experiment.dataset.label_names
    return names.__getitem__ if names else str


def _write_npz(
    path: Path, x: np.ndarray, labels: np.ndarray | None, experiment: Experiment
) -> None:
    """Writes `x` [N, *event]; of a conditional model its labels, `y` [N], and
    their names, `label_names`, if they have any; of a table what its values are called,
    `columns` [D]."""
    arrays: dict[str, Any] = {"x": x}
    if labels is not None:
        arrays["y"] = labels
        if names := experiment.dataset.label_names:
            arrays["label_names"] = np.array(names)
    if columns := experiment.dataset.columns:
        arrays["columns"] = np.array(value_names(columns, x.shape[1]))
    workdir.write_npz(path, arrays)

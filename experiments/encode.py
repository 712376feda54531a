"""Writes the codes of a user's own images or vectors by a trained model."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import workdir
from experiments.score import slug
from experiments.terminal import say
from vae.build import from_operative
from vae.data.given import check_label
from vae.data.load import other_images
from vae.data.options import read_options
from vae.data.sources import load_other
from vae.evaluation.base import map_batches
from vae.saved import as_fitted, open_model
from vae.types import UserError, noun

BATCH = 500

Elbo = dict[str, np.ndarray]  # the ELBO [N] in nats, under the name of its column


def run(folder: Path, name: str, output: Path | None) -> None:
    """Writes of each example its code and its ELBO in nats, by one sample. Of data that
    the model scales, the ELBO bounds the log-density in the units of the data.

    Args:
      folder: of a run or of an exported model.
      name: of the examples, as for `dataset.name`.
      output: a file that ends in .npz, .csv or .parquet; None: `codes/NAME.npz` in the
        folder.

    Raises:
      UserError: there are no such examples, the model cannot look at them, or the file
        cannot be written.
    """
    path = output or folder / "codes" / f"{slug(name)}.npz"
    if path.suffix not in WRITERS:
        raise UserError(f"--output={path} must end in {' or '.join(WRITERS)}")
    experiment, variables = open_model(folder)
    workdir.check_output(path, name, experiment.config["dataset"]["name"])
    config, where = from_operative(experiment.config), f"--data={name}"
    num_labels = experiment.model.num_labels
    split, names = load_other(
        name,
        config.runtime.data_dir,
        read_options(config),
        where=where,
        channels=experiment.dataset.event_shape[-1],
        columns=experiment.dataset.columns,
        label_names=experiment.dataset.label_names if num_labels else None,
    )
    if num_labels is None:
        split = split._replace(labels=None)
    elif split.labels is None:
        raise UserError(
            f"{where}: the model is conditional and needs labels: an array y beside x, "
            "or the column dataset.label_column"
        )
    try:
        check_label(split.labels, num_labels)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    likelihood, everything = experiment.model.likelihood, experiment.data.everything
    checked = other_images(config, everything, likelihood, split, where, name=name)
    if everything.scaling is None:  # else the model scales them itself
        split = checked
    fitted = as_fitted(experiment, variables)

    def of_batch(places: np.ndarray) -> Any:
        images, labels = split[places]
        first = int(places[0])
        codes = fitted.encode(images, labels, first=first)
        bounds = fitted.bounds(images, 1, labels, first=first)
        return codes, -(bounds.distortion + bounds.rate)

    places = np.arange(split.size)
    say(f"encoding {split.size} {noun(experiment.dataset.event_shape)} of {name}")
    codes, elbo = map_batches(of_batch, places, min(BATCH, split.size))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        key = "elbo_nats" if everything.scaling is None else "elbo_data_units_nats"
        WRITERS[path.suffix](path, names, codes.mean, codes.scale, {key: elbo})
    except OSError as error:
        raise UserError(f"--output={path} cannot be written ({error})") from error
    say(f"codes of {codes.mean.shape[1]} numbers written to {path}")


def _write_npz(
    path: Path, names: list[str], mean: np.ndarray, scale: np.ndarray, elbo: Elbo
) -> None:
    arrays = {"names": np.array(names), "mean": mean, "scale": scale, **elbo}
    workdir.write_npz(path, arrays)


def _columns(
    names: list[str], mean: np.ndarray, scale: np.ndarray, elbo: Elbo
) -> dict[str, Any]:
    numbered = {
        f"{kind}_{i}": column
        for kind, array in (("mean", mean), ("scale", scale))
        for i, column in enumerate(array.T)
    }
    return {"image": names, **elbo, **numbered}


def _write_csv(path: Path, *arrays: Any) -> None:
    columns = _columns(*arrays)
    workdir.write_csv(path, [list(columns), *zip(*columns.values(), strict=True)])


def _write_parquet(path: Path, *arrays: Any) -> None:
    try:
        from pyarrow import parquet, table
    except ImportError as error:
        raise UserError(f"--output={path}: needs `pip install pyarrow`") from error
    partial = path.with_suffix(".partial")
    parquet.write_table(table(_columns(*arrays)), partial)
    partial.replace(path)


WRITERS = {".npz": _write_npz, ".csv": _write_csv, ".parquet": _write_parquet}

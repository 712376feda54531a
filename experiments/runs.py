"""Runs that are there already: opened from their folder, with their data or without."""

import json
import zipfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments import workdir
from experiments.program import Program, make_program
from experiments.terminal import say
from vae.build import Config, Experiment, build
from vae.data.load import load_dataset
from vae.data.preprocess import is_drawn
from vae.data.splits import Split, evenly_spaced
from vae.saved import EXAMPLES, facts_of, read_examples
from vae.training.checkpoint import Checkpointer, Restored
from vae.training.state import (
    Carry,
    TrainState,
    is_essential,
    with_hparams,
    without_hparams,
)
from vae.types import UserError

# Images of train and of test that are kept with a run: by their number, and by their
# bytes, but a few in any case.
KEPT_IMAGES, KEPT_BYTES, KEPT_ANYWAY = 500, 4 * 2**20, 16
KEPT_LABELS = 200  # one image at least of each of up to this many labels


class Run(NamedTuple):
    """A run that was trained to its end."""

    experiment: Experiment
    program: Program
    state: TrainState
    cost: dict[str, float]  # of its training


def open_run(
    folder: Path,
    *,
    config: Config | None = None,
    data: str | None = None,
    needs_all_data: bool = False,
) -> Run:
    """Opens the run in `folder`.

    If its data are gone or have changed, the examples kept in the folder stand for
    them, unless all are needed.

    Args:
      folder: the workdir of a run that was trained to its end.
      config: as the run's own but for `evaluate.*`; None for the run's own.
      data: where the run's data are now, as for `dataset.name`; None for where they
        were.
      needs_all_data: whether some examples will not do.

    Raises:
      UserError: there is no such run, it is not trained to its end, or its data are
        needed and not there.
    """
    config = workdir.choose_config(folder, config, data)
    is_used = not needs_all_data
    dataset, reason = None, ""
    try:
        dataset = load_dataset(config)
    except UserError as error:
        reason = str(error)
    if dataset is not None:
        experiment = build(config, dataset=dataset, is_used=is_used)
        program = make_program(experiment)
        try:
            workdir.check(folder, experiment.config, program.data_hash)
        except workdir.OtherData as error:
            dataset, reason = None, str(error)
    if dataset is None:
        kept = read_examples(folder) if is_used and data is None else None
        if kept is None:
            hint = "" if data else "; if the data are elsewhere, give --data=SOURCE"
            raise UserError(f"{reason}{hint}")
        experiment = build(config, dataset=kept, is_used=True)
        program = make_program(experiment)
        workdir.check(folder, experiment.config, data_hash=None)
        say(
            f"the run's data are missing or changed ({reason}): using the "
            f"{kept.train.size} training and {kept.test.size} test images kept in "
            f"{folder}; --data=SOURCE says where the data are"
        )
    state, cost = _restore_trained(experiment, program, folder)
    return Run(experiment, program, state, cost)


def _restore_trained(
    experiment: Experiment, program: Program, folder: Path
) -> tuple[TrainState, dict[str, float]]:
    """Returns the state at the end of training, and what training cost."""
    with closing(Checkpointer(folder, reads_only=True)) as checkpointer:
        restored = restore_carry(checkpointer, program.initialize(experiment))
    if restored is None or restored.step < experiment.plan.steps:
        at = "no checkpoint" if restored is None else f"step {restored.step}"
        raise UserError(
            f"--workdir={folder} is not trained to its end ({at} of "
            f"{experiment.plan.steps} steps); launch its training again to continue"
        )
    return restored.tree[0], restored.info["cost"]


def restore_carry(checkpointer: Checkpointer, carry: Carry) -> Restored | None:
    """Returns the newest checkpoint of state and totals, placed as `carry`, with the
    numbers of the config that `carry` has."""
    restored = checkpointer.restore(without_hparams(carry), is_essential)
    if restored is None:
        return None
    return restored._replace(tree=with_hparams(restored.tree, carry[0].hparams))


def keep_examples(folder: Path, experiment: Experiment, data_hash: str) -> None:
    """Writes some training and test images into a run's folder, by which the run can be
    used where its data are gone; nothing if they are there, or drawn by this code."""
    path, kept = folder / EXAMPLES, experiment.config["dataset"]["keep_labels"]
    if is_drawn(experiment.dataset.train) or _origin(path) == (data_hash, [*kept]):
        return
    arrays = {"data_sha256": np.array(data_hash), "keep_labels": np.array(kept, int)}
    for name in ("train", "test"):
        split = getattr(experiment.dataset, name)
        some = split[_chosen(split)]
        arrays[f"x_{name}"] = np.asarray(some.images)
        if some.labels is not None:
            arrays[f"y_{name}"] = np.asarray(some.labels)
    if facts := facts_of(experiment):
        arrays["facts"] = np.array(json.dumps(facts))
    workdir.write_npz(path, arrays)


def _origin(path: Path) -> tuple[str, list[int]] | None:
    """Returns the hash of the data that the kept examples are from, and which labels
    were kept, if this version wrote them."""
    try:
        with np.load(path) as file:
            return str(file["data_sha256"]), file["keep_labels"].tolist()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _chosen(split: Split) -> np.ndarray:
    """Returns the places of images evenly spaced, and of one of each label: of the
    largest in any case, for the model has as many."""
    each = max(1, split.images[:1].nbytes)
    count = min(split.size, KEPT_IMAGES, max(KEPT_ANYWAY, KEPT_BYTES // each))
    places = evenly_spaced(split.size, count)
    if split.labels is None:
        return np.unique(places)
    _, firsts = np.unique(split.labels, return_index=True)
    return np.unique([*places, *firsts[-KEPT_LABELS:]])

"""The folder of a run: what lies in it, and whether a launch may use it."""

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import hints, origin
from experiments.terminal import say
from vae.build import Config, from_operative
from vae.data.options import drop_unused
from vae.identity import OUTSIDE_IDENTITY, WHERE_DATA_ARE, depends_on_length
from vae.renamed import flatten, with_new_keys
from vae.saved import CONFIG, as_of_today, read_json
from vae.training.metrics import finite
from vae.types import UserError


def config_of(workdir: Path) -> Config:
    """Returns the configuration of the run there.

    Raises:
      UserError: there is none.
    """
    held = _held(workdir)
    if held is None:
        raise UserError(hints.no_run(workdir))
    return from_operative(held)


def choose_config(workdir: Path, config: Config | None, data: str | None) -> Config:
    """Returns the configuration, or that of the run there if `config` is None.

    `data`, as for `dataset.name`, replaces its data set. Options that the new data set
    does not use, as `dataset.resize` for arrays, are set to their defaults.

    Raises:
      UserError: there is neither a configuration nor a run.
    """
    chosen: Config = config_of(workdir) if config is None else config
    if data is not None:
        chosen = chosen.copy_and_resolve_references()
        chosen.dataset.name = data
        drop_unused(chosen)
    return chosen


def settle_as_held(workdir: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Returns an operative configuration in which "auto" binarisation is what the run
    in the folder has, if there is a run."""
    held = _held(workdir)
    dataset = config["dataset"]
    if held is None or dataset["binarize"] != "auto":
        return config
    settled = {**dataset, "binarize": held["dataset"]["binarize"]}
    return {**config, "dataset": settled}


def _held(workdir: Path) -> dict[str, Any] | None:
    """Returns the configuration of the run there, if there is one."""
    held = read_json(workdir / CONFIG)
    if held is None:
        return None
    if not isinstance(held, dict) or "model_type" in held:
        raise UserError(f"{workdir}/config.json holds no config of a run")
    return as_of_today(held)


class OtherData(UserError):
    """The data are not those that the run was trained on."""


def check(workdir: Path, config: dict[str, Any], data_hash: str | None) -> None:
    """Refuses a workdir that cannot be written or holds another run; writes nothing.

    A run may be trained for more steps than it was, unless its learning rate depends on
    their number, and its data may have moved.

    Args:
      workdir: the folder.
      config: of the launch.
      data_hash: of the data; None if the run is to be used without them.

    Raises:
      OtherData: the config is the run's, but the data are not.
      UserError: says which fields differ, or what is in the way.
    """
    existing = workdir
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"--workdir={workdir}: cannot write in {existing}")
    held = _held(workdir)
    if held is None:
        if (workdir / "checkpoints").exists():
            raise UserError(
                f"--workdir={workdir} holds checkpoints but no config.json; choose "
                "another workdir"
            )
        return
    if not any((workdir / "checkpoints").glob("[0-9]*")):
        return  # nothing there is worth keeping
    past = read_json(workdir / "provenance.json")
    held_hash = past["data_sha256"] if past else data_hash
    is_same_data = data_hash in (None, held_hash)
    if fields := _differing_fields(held, config, is_same_data=is_same_data):
        hint = ""
        if "train.steps" in fields:
            hint = " (a run can be trained longer, but not if its schedule is cosine)"
        said = "; ".join(
            f"{f}: {old} there, {new} now" for f, (old, new) in fields.items()
        )
        kind = OtherData if fields.keys() <= WHERE_DATA_ARE else UserError
        raise kind(
            f"--workdir={workdir} holds a run of another config ({said}){hint}; "
            "choose another workdir"
        )
    if not is_same_data:
        raise OtherData(
            f"--workdir={workdir} was trained on other data under the same name "
            f"(SHA-256 {str(held_hash)[:12]} there, {str(data_hash)[:12]} now); "
            "choose another workdir"
        )


def _differing_fields(
    held: dict[str, Any], config: dict[str, Any], *, is_same_data: bool
) -> dict[str, tuple[Any, Any]]:
    """Returns the fields that make two configurations those of different runs, each
    with its value in both."""
    before, now = flatten(held), flatten(config)
    ignored = set(WHERE_DATA_ARE) if is_same_data else set()
    if now["train.steps"] > before["train.steps"] and not depends_on_length(config):
        ignored.add("train.steps")
    return {
        field: (before.get(field, "absent"), now.get(field, "absent"))
        for field in sorted({*before, *now})
        if before.get(field, "absent") != now.get(field, "absent")
        and field not in ignored
        and not field.startswith(OUTSIDE_IDENTITY)
    }


@contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Creates the workdir and holds it; on several hosts the first process does.

    Raises:
      UserError: another process holds it, or it cannot be created.
    """
    if jax.process_index() != 0:
        yield
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--workdir={workdir} cannot be created ({error.strerror}): name another"
        ) from error
    with (workdir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"--workdir={workdir} is in use by another process; wait for it, or "
                "choose another workdir"
            ) from error
        yield


def describe(workdir: Path, config: dict[str, Any], data_hash: str) -> None:
    """Writes `config.json` and adds this launch to `provenance.json`; on several hosts
    the first process does. Where the data were when the run began stays on record."""
    if jax.process_index() != 0:
        return
    old = read_json(workdir / "provenance.json") or {"launches": []}
    held = _held(workdir)
    if held is not None and old.get("data_sha256") == data_hash:
        places = {field.removeprefix("dataset.") for field in WHERE_DATA_ARE}
        were = {k: v for k, v in held["dataset"].items() if k in places}
        config = {**config, "dataset": {**config["dataset"], **were}}
    launch = origin.describe_launch(config)
    before = {past.get("deterministic") for past in old["launches"]}
    if before - {launch["deterministic"], None}:
        say(
            "note: earlier launches of this run had another --deterministic; its last "
            "bits depend on where each of them ended"
        )
    launches = {
        "data_sha256": data_hash,
        "launches": [*old["launches"], launch],
    }
    write_json(workdir / "provenance.json", launches)
    write_json(workdir / "config.json", config)


def read_results(workdir: Path) -> dict[str, Any]:
    """Returns the results of the run there; {} if it has none."""
    return with_new_keys(read_json(workdir / "results.json") or {})


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all. JSON has no nan and no infinity: both are
    written as null."""
    write_text(path, json.dumps(finite(value), indent=2, allow_nan=False) + "\n")


def check_output(path: Path, *names: str) -> None:
    """Refuses to write over data, named as for `dataset.name`."""
    for name in names:
        if path.resolve() == Path(name.partition(":")[2]).expanduser().resolve():
            raise UserError(f"--output={path} is {name}: name another file")


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes compressed arrays by their names, whole or not at all."""
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **arrays)
    partial.replace(path)


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table, its header first, whole or not at all."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Writes a file in UTF-8, whole or not at all, in whichever locale. Names of files
    keep their bytes; of a name that is not UTF-8, bytes are written as in `\\xff`."""
    named = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(named.encode())
    partial.replace(path)

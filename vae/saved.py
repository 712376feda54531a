"""Runs and exported models on disk, opened for use."""

import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from configs import default
from vae import rng
from vae.bind import drop_unread
from vae.build import build, from_operative, operative
from vae.compose import group_of
from vae.data import columns, scaling
from vae.data.load import load_dataset
from vae.data.splits import Dataset, Split
from vae.experiment import Experiment
from vae.fitted import FittedVAE
from vae.models.base import Model
from vae.models.padding import cut_to
from vae.registry import MENUS
from vae.renamed import with_new_names
from vae.training.checkpoint import Checkpointer, name_of
from vae.training.parallel import one_per_device
from vae.types import Params, UserError

CONFIG, EXAMPLES, WEIGHTS = "config.json", "examples.npz", "model.safetensors"
MODEL_TYPE = "vae"  # in the `CONFIG` of exported models


def load(
    folder: str | Path, data: str | None = None, *, ema: bool = False
) -> FittedVAE:
    """Opens a run, or a model that `write_model` wrote, for use.

    Sets JAX's precision for the process to that of the run.

    Args:
      folder: of the run or the model.
      data: where the data are, as for `dataset.name`. They are needed for runs of early
        versions only, which kept no examples of them.
      ema: whether the weights are the average of those in training
        (`optimizer.ema_decay`) and not the last.

    Raises:
      UserError: the folder holds no such thing, its training has saved nothing yet, or
        there is no average.
    """
    return as_fitted(*open_model(Path(folder), data, ema=ema))


def as_fitted(experiment: Experiment, variables: Params) -> FittedVAE:
    """Returns the model of an experiment, given its variables without padding."""
    model, _ = experiment.make_own(experiment.latent_dim)
    return FittedVAE(
        model,
        variables,
        event_shape=experiment.dataset.event_shape,
        dtype=experiment.data.everything.train.images.dtype,
        preprocess=experiment.preprocess,
        scaling=experiment.data.everything.scaling,
        columns=experiment.dataset.columns,
        label_names=experiment.dataset.label_names,
    )


def open_model(
    folder: Path, data: str | None = None, *, ema: bool = False
) -> tuple[Experiment, Params]:
    """Returns a run or an exported model as built for use, and the variables of its
    model, without padding; see `load`.

    The experiment's data are those kept in the folder, or stand for them.
    """
    held = read_json(folder / CONFIG)
    if not isinstance(held, dict):
        members = sorted(folder.glob(f"members/*/{CONFIG}"))
        why = f"name a member, as {members[0].parent}" if members else f"no {CONFIG}"
        raise UserError(f"{folder} holds no run and no model: {why}")
    is_exported = "model_type" in held
    config = from_operative(as_of_today(held["config"] if is_exported else held))
    if ema and (is_exported or not config.optimizer.ema_decay):
        why = "it was trained with optimizer.ema_decay=0"
        why = "an exported model holds the last weights" if is_exported else why
        raise UserError(f"{folder} has no average of weights: {why}")
    examples = _stand_in(**held["data"]) if is_exported else read_examples(folder)
    if examples is None:
        config.dataset.name = data or config.dataset.name
        examples = load_dataset(config)
    (placement,) = one_per_device(1)
    experiment = build(config, placement, dataset=examples, is_used=True)
    if is_exported:
        return experiment, _read_weights(experiment, folder)
    return experiment, _read_checkpoint(experiment, folder, ema=ema)


def write_model(experiment: Experiment, variables: Params, folder: Path) -> None:
    """Writes `model.safetensors` and `config.json`, which `load` reads.

    Args:
      experiment: of the run.
      variables: of its model, without padding.
      folder: where; it is created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    arrays = {name_of(path): np.asarray(leaf) for path, leaf in leaves}
    # `save_file` would make it readable for its owner alone.
    (folder / WEIGHTS).write_bytes(save(arrays, metadata={"format": "flax"}))
    train, labels = experiment.data.everything.train, []
    if experiment.model.num_labels or experiment.config["dataset"]["keep_labels"]:
        splits = experiment.dataset.splits.values()
        held = [split.labels for split in splits if split.labels is not None]
        labels = np.unique(np.concatenate(held)).tolist()
    described = {
        "model_type": MODEL_TYPE,
        "data": {
            "shape": list(train.images.shape[1:]),
            "dtype": str(train.images.dtype),
            "labels": labels,
            **facts_of(experiment),
        },
        "config": experiment.config,
    }
    text = json.dumps(described, indent=2, allow_nan=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def facts_of(experiment: Experiment) -> dict[str, Any]:
    """Returns what is known of all data beside their arrays, for JSON."""
    dataset = experiment.data.everything
    counts = dataset.count_labels() if experiment.model.num_labels else ()
    facts = {
        "scaling": dataset.scaling and dataset.scaling.as_plain(),
        "columns": columns.as_plain(dataset.columns),
        "label_names": [*dataset.label_names],
        "label_counts": [*counts],
    }
    return {name: value for name, value in facts.items() if value}


def with_facts(dataset: Dataset, facts: dict[str, Any]) -> Dataset:
    """Returns data, which are scaled already, with what `facts_of` returned."""
    if "scaling" in facts:
        dataset = dataset._replace(scaling=scaling.from_plain(facts["scaling"]))
    if "columns" in facts:
        dataset = dataset._replace(columns=columns.from_plain(facts["columns"]))
    lists = {"label_names", "label_counts"} & facts.keys()
    return dataset._replace(**{name: (*facts[name],) for name in lists})


def _stand_in(
    shape: list[int],
    dtype: str,
    labels: Sequence[int] = (),
    num_labels: int = 0,  # in models of early versions, in place of `labels`
    **facts: Any,
) -> Dataset:
    """Returns blank data of the shape, type and labels that a model was trained on."""
    labels = labels or range(num_labels)
    images = np.zeros((max(1, len(labels)), *shape), dtype)
    if "columns" in facts:
        images[:] = columns.blank(columns.from_plain(facts["columns"]))
    some = Split(images, np.array(labels, np.int32) if labels else None)
    return with_facts(Dataset(some, some[slice(0)], some), facts)


def _read_weights(experiment: Experiment, folder: Path) -> Params:
    shapes = own_shapes(experiment)
    try:
        arrays = load_file(folder / WEIGHTS)
        return jax.tree_util.tree_map_with_path(
            lambda path, _: jnp.asarray(arrays[name_of(path)]), shapes
        )
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(
            f"{folder / WEIGHTS} is missing or damaged ({error}): export the run again"
        ) from error


def _read_checkpoint(experiment: Experiment, folder: Path, *, ema: bool) -> Params:
    if not any((folder / "checkpoints").glob("[0-9]*")):
        raise UserError(f"{folder} has no checkpoint yet: launch its training")
    sharding = experiment.placement.replicated
    params = jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding),
        _shapes(experiment, experiment.model)["params"],
    )
    outer, inner = ("opt_state", "average") if ema else ("params", "model")
    path, checkpointer = f"0.{outer}.{inner}.", Checkpointer(folder, reads_only=True)
    try:
        restored = checkpointer.restore(
            [{outer: {inner: params}}], lambda name: name.startswith(path)
        )
    finally:
        checkpointer.close()
    assert restored is not None, "there is a checkpoint"
    return cut_padding(experiment, {"params": restored.tree[0][outer][inner]})


def cut_padding(experiment: Experiment, variables: Params) -> Params:
    """Returns the variables of the model at its own size."""
    shapes = own_shapes(experiment)
    return {"params": cut_to(variables["params"], shapes["params"])}


def own_shapes(experiment: Experiment) -> Params:
    """Returns the shapes of the variables of the model at its own size."""
    model, _ = experiment.make_own(experiment.latent_dim)
    return _shapes(experiment, model)


def _shapes(experiment: Experiment, model: Model) -> Params:
    def init(stored: Split) -> Params:
        keys = rng.per_example(jax.random.key(0), jnp.arange(1))
        x = experiment.preprocess(stored.images, keys)
        return model.init(jax.random.key(0), x, keys, label=stored.labels)

    return jax.eval_shape(init, experiment.dataset.train[:1])


def as_of_today(held: dict[str, Any]) -> dict[str, Any]:
    """Returns the operative configuration that a run holds as this version writes it. A
    field that is newer than the run has its default, by which all is as it was without
    the field. So has one that nothing reads: earlier versions took any value of it."""
    config = _filled_up(with_new_names(held), operative(default.get_config()))
    for path, menu in MENUS.items():
        group = group_of(config, path)
        if group["name"] in menu:
            group.update(drop_unread(group, menu))
    return config


def _filled_up(held: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Adds to a nested configuration what only `defaults` has."""
    return {
        **defaults,
        **{
            key: _filled_up(value, defaults.get(key, {}))
            if isinstance(value, dict)
            else value
            for key, value in held.items()
        },
    }


def read_examples(folder: Path) -> Dataset | None:
    """Returns the images that were kept in the folder of a run, or None if there are
    none.

    Raises:
      UserError: their file is damaged.
    """
    path = folder / EXAMPLES
    if not path.exists():
        return None
    try:
        with np.load(path) as file:
            arrays = dict(file)
        train, test = (
            Split(arrays[f"x_{name}"], arrays.get(f"y_{name}"))
            for name in ("train", "test")
        )
        facts = json.loads(str(arrays.get("facts", "{}")))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged ({error}); give --data=SOURCE") from error
    return with_facts(Dataset(train, Split(train.images[:0], None), test), facts)


def read_json(path: Path) -> Any:
    """Returns the contents of a JSON file, or None if there is no such file. A null is
    a number that was not finite, and becomes nan.

    Raises:
      UserError: it is not JSON.
    """
    if not path.exists():
        return None
    try:
        return _with_nan(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error})") from error


def _with_nan(value: Any) -> Any:
    """Puts nan in place of each None."""
    if isinstance(value, dict):
        return {key: _with_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return math.nan if value is None else value

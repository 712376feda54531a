"""Which experiments are the same run, and which of them share a compiled program.

All take the operative configuration, a plain tree.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae.bind import Binding
from vae.compose import bind_menus, latent_parts
from vae.data.options import READ_FOR
from vae.data.splits import Dataset
from vae.models.padding import padded_width
from vae.registry import PRECISIONS

# Groups that change nothing of what is trained, up to rounding where devices differ: a
# workdir may be taken up again with other values of these.
OUTSIDE_IDENTITY = ("runtime.", "evaluate.")
# Fields that say where the data are: their hash says which data they are.
WHERE_DATA_ARE = frozenset(("dataset.name", *(f"dataset.{f}" for f in READ_FOR)))


def depends_on_length(config: dict[str, Any]) -> bool:
    """Whether a step of training depends on how many there will be."""
    return bind_menus(config)["optimizer.schedule"].takes("total_steps")


def program_key(config: dict[str, Any]) -> str:
    """Returns what is the same for experiments that one compiled program serves: all
    but the seed, the traced numbers, a latent size within one width and which labels
    are kept, if as many are.

    Raises:
      UserError: a value is not acceptable.
    """
    bound, dataset = bind_menus(config), dict(config["dataset"])
    # These are compiled knowing how many examples or labels there are.
    counts = bound["objective"].takes("dataset_size")
    if not counts and config["model"]["condition"] == "none":
        dataset["keep_labels"] = len({*dataset["keep_labels"]})
    key = {
        **config,
        "seed": None,
        "objective": config["objective"] | dict.fromkeys(bound["objective"].traced),
        "dataset": dataset,
        "optimizer": {**config["optimizer"], "learning_rate": None},
        "model": {**config["model"], "latent_dim": latent_width(config, bound)},
    }
    return repr(key)


def latent_width(config: dict[str, Any], bound: Mapping[str, Binding]) -> int:
    """Returns the width at which the latent space is computed."""
    latent_dim = config["model"]["latent_dim"]
    return padded_width(latent_dim) if _is_padded(config, bound) else latent_dim


def traced_hparams(
    config: dict[str, Any], bound: Mapping[str, Binding], everything: Dataset
) -> dict[str, jax.Array]:
    """Returns the numbers by which experiments of one program may differ, and of each
    label of the data whether it is kept."""
    dtype = jnp.promote_types(PRECISIONS[config["precision"]], jnp.float32)
    numbers = bound["objective"].traced
    numbers = {**numbers, "learning_rate": config["optimizer"]["learning_rate"]}
    hparams = {name: jnp.asarray(value, dtype) for name, value in numbers.items()}
    if _is_padded(config, bound):
        hparams["latent_dim"] = jnp.asarray(config["model"]["latent_dim"], jnp.int32)
    if labels := config["dataset"]["keep_labels"]:
        every_label = np.arange(everything.train.labels.max() + 1)
        hparams["keep_labels"] = jnp.asarray(np.isin(every_label, labels))
    return hparams


def _is_padded(config: dict[str, Any], bound: Mapping[str, Binding]) -> bool:
    if not bound["model"].entry.is_padded:
        return False
    nothing = {"encoder": None, "examples": None}  # facts need neither
    latent_dim = config["model"]["latent_dim"]
    parts = latent_parts(config, bound, latent_dim, **nothing)
    (first, *upper) = parts.posteriors
    return not upper and first.can_pad and parts.prior.can_pad

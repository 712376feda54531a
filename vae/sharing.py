"""Which experiments are the same run, and which of them share a compiled program.

All take the operative configuration, a plain tree.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae import menus
from vae.checks import check_numbers
from vae.compatibility import is_padded
from vae.data.options import READ_FOR
from vae.data.splits import Dataset
from vae.models.padding import padded_width

# Groups that change nothing of what is trained, up to rounding where devices differ: a
# workdir may be taken up again with other values of these.
OUTSIDE_IDENTITY = ("runtime.", "evaluate.")
# Fields that say where the data are: their hash says which data they are.
WHERE_DATA_ARE = frozenset(("dataset.name", *(f"dataset.{f}" for f in READ_FOR)))
PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float64": jnp.float64}


def depends_on_length(config: dict[str, Any]) -> bool:
    """Whether a step of training depends on how many there will be; takes the operative
    configuration."""
    return config["optimizer"]["schedule"]["name"] in menus.SCHEDULES_TO_THE_END


def program_key(config: dict[str, Any]) -> str:
    """Returns what is the same for experiments that one compiled program serves: all
    but the seed, the traced numbers, a latent size within one width and which labels
    are kept, if as many are.

    Raises:
      UserError: a number is not acceptable.
    """
    check_numbers(config)
    objective, dataset = dict(config["objective"]), dict(config["dataset"])
    for name, value in objective.items():
        objective[name] = None if isinstance(value, float) else value
    # These are compiled knowing how many examples or labels there are.
    if objective["name"] != "beta_tcvae" and config["model"]["condition"] == "none":
        dataset["keep_labels"] = len(dataset["keep_labels"])
    key = {
        **config,
        "seed": None,
        "objective": objective,
        "dataset": dataset,
        "optimizer": {**config["optimizer"], "learning_rate": None},
        "model": {**config["model"], "latent_dim": latent_width(config)},
    }
    return repr(key)


def latent_width(config: dict[str, Any]) -> int:
    """Returns the width at which the latent space is computed."""
    latent_dim = config["model"]["latent_dim"]
    return padded_width(latent_dim) if _is_padded(config) else latent_dim


def traced_hparams(config: dict[str, Any], everything: Dataset) -> dict[str, jax.Array]:
    """Returns the numbers by which experiments of one program may differ, and of each
    label of the data whether it is kept."""
    dtype = jnp.promote_types(PRECISIONS[config["precision"]], jnp.float32)
    rate = config["optimizer"]["learning_rate"]
    hparams = {
        name: jnp.asarray(value, dtype)
        for name, value in {**config["objective"], "learning_rate": rate}.items()
        if isinstance(value, float)
    }
    if _is_padded(config):
        hparams["latent_dim"] = jnp.asarray(config["model"]["latent_dim"], jnp.int32)
    if labels := config["dataset"]["keep_labels"]:
        every_label = np.arange(everything.train.labels.max() + 1)
        hparams["keep_labels"] = jnp.asarray(np.isin(every_label, labels))
    return hparams


def _is_padded(config: dict[str, Any]) -> bool:
    model = config["model"]
    return is_padded(model["posterior"]["name"], model["prior"]["name"])

r"""Importance weighted autoencoders on OMNIGLOT drawings of one's own, in order only.

Command:  python launch.py --experiment=reproduce \
              --config=configs/papers/iwae_omniglot.py \
              --config.dataset.name=npz:omniglot_28x28.npz
The file holds `x_train` [24390, 28, 28] and `x_test` [8070, 28, 28], uint8, ink = 255:
the Omniglot drawings of 105x105 pixels, made small. The paper's come from another file,
so that values do not compare. Another number of drawings is another number of epochs.
"""

from typing import Any

from configs import default
from configs.papers import iwae_table1

EPOCHS = 40  # sum of 3^i for i < 4
EPOCH = 24_390 // 20  # in steps
PAPER = {"VAE, k = 5": 107.62, "IWAE, k = 5": 106.12, "IWAE, k = 50": 104.67}


def get_config(mode: str = "") -> default.Config:
    config = iwae_table1.get_config(mode)
    config.dataset.name = "npz:omniglot_28x28.npz"
    if mode != "smoke":
        config.train.steps = EPOCHS * EPOCH
        config.runtime.checkpoint_every = 5 * EPOCH
    return config


def table() -> dict[str, Any]:
    rows = [
        {
            "name": name,
            "overrides": {"objective.name": objective, "objective.num_samples": k},
            "published": f"{PAPER[name]} on the paper's own file",
        }
        for name, objective, k, _, _ in iwae_table1.ROWS
        if name in PAPER
    ]
    order = tuple(reversed(PAPER))
    return {
        "seeds": (0,),
        "rows": rows,
        "source": "Burda et al. 2015, arXiv 1509.00519, table 1",
        "differs": lambda config: (
            f"the data, and {config.train.steps / EPOCH:.4g} of 3,280 epochs"
        ),
        "claims": [
            {"says": "NLL: IWAE-50 < IWAE-5 < VAE-5", "column": "NLL", "order": order}
        ],
    }

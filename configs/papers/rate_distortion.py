"""Fixing a broken ELBO: the plane of rate and distortion on MNIST.

Command:  python launch.py --experiment=reproduce \\
              --config=configs/papers/rate_distortion.py
Alemi et al. 2018, arXiv 1711.00464, with dense layers, 20 epochs and beta only.
"""

from typing import Any

from configs import default
from configs.papers import collapse_remedies

BETAS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def get_config(mode: str = "") -> default.Config:
    config = collapse_remedies.get_config(mode)
    if mode != "smoke":
        config.train.steps = 12_000
    return config


def table() -> dict[str, Any]:
    rows = [
        {"name": f"beta = {beta:g}", "overrides": {"objective.beta": beta}}
        for beta in BETAS
    ]
    names = tuple(row["name"] for row in rows)
    return {
        "seeds": (0, 1),
        "rows": rows,
        "plane": ("rate", "distortion"),
        "source": "Alemi et al. 2018, arXiv 1711.00464, figure 3, in shape only",
        "claims": [
            {
                "says": "the rate falls",
                "column": "rate",
                "order": names[::-1],
            },
            {"says": "the distortion rises", "column": "distortion", "order": names},
        ],
    }

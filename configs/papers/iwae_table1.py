r"""Importance weighted autoencoders: one stochastic layer on MNIST, table 1.

Command:  python launch.py --experiment=reproduce --config=configs/papers/iwae_table1.py
          (:full for all 3,280 epochs in every row)
Time:     3.4 hours for the first row, 1.9 for the others beside it, on 2 CPU cores; it
          resumes
"""

from typing import Any

from configs import default, mnist_vae

EPOCHS, FULL = 121, 3_280  # sums of 3^i: five and all eight of the paper's rates
ROWS = (
    ("VAE, k = 1", "elbo", 1, 86.76, 19),
    ("VAE, k = 5", "elbo", 5, 86.47, 20),
    ("IWAE, k = 5", "iwae", 5, 85.54, 22),
    ("IWAE, k = 50", "iwae", 50, 84.78, 25),
)

ORDER = ("IWAE, k = 50", "IWAE, k = 5", "VAE, k = 5")
CLAIMS = [
    {"says": "NLL: IWAE-50 < IWAE-5 < VAE-5", "column": "NLL", "order": ORDER},
    {
        "says": "active units: VAE-5 < IWAE-5 < IWAE-50",
        "column": "active units",
        "order": ORDER[::-1],
    },
]

NOTES = """The first row is better than the paper's by more than the tolerance, and has
more active units. Two replications are also better, by .68 nats (86.08, Tucker et al.
2019, arXiv 1810.04152) and .41 (86.35, github.com/nbip/IWAE). We know of no setting
that differs. We suspect chance: the paper's value is one run of older code, and ours is
one seed. Another seed takes 3.4 hours."""


def get_config(mode: str = "") -> default.Config:
    config = mnist_vae.get_config(mode)
    if mode != "smoke":
        config.evaluate.bounds.importance_samples = 5_000
        config.runtime.checkpoint_every = 20 * mnist_vae.STEPS_PER_EPOCH
    return config


def count_epochs(config: default.Config) -> str:
    """Says for how many of the paper's epochs a row is trained, if not for all."""
    epochs = config.train.steps / mnist_vae.STEPS_PER_EPOCH
    return "" if epochs == FULL else f"{epochs:.4g} of {FULL:,} epochs"


def table(mode: str) -> dict[str, Any]:
    rows = []
    for name, objective, k, nll, units in ROWS:
        epochs = FULL if mode == "full" or k == 1 else EPOCHS
        changes = {"objective.name": objective, "objective.num_samples": k}
        if mode != "smoke":
            changes["train.steps"] = epochs * mnist_vae.STEPS_PER_EPOCH
        row: dict[str, Any] = {
            "name": name,
            "overrides": changes,
            "published": {"NLL": nll, "active units": units},
        }
        if epochs == FULL:
            row["tolerance"] = {"NLL": 0.5, "active units": 2}
        row["differs"] = count_epochs
        rows.append(row)
    return {
        "seeds": (0,),
        "rows": rows,
        "source": "Burda et al. 2015, arXiv 1509.00519, table 1",
        "notes": NOTES,
        "claims": CLAIMS,
    }

"""The linear VAE beside probabilistic PCA's optimum, on grey MNIST.

Command:  python launch.py --experiment=reproduce \\
              --config=configs/papers/ppca_optimum.py
"""

from typing import Any

from configs import default
from configs.papers import linear_vae

EXACT = {2: 14.3601, 5: 93.9204, 10: 186.0241, 50: 517.6033}  # log p(x) of test images

STEPS = {50: 128_000}  # the more dimensions, the more; else as `linear_vae`


def get_config(mode: str = "") -> default.Config:
    return linear_vae.get_config(mode)


def table(mode: str) -> dict[str, Any]:
    rows = []
    for latent_dim, optimum in EXACT.items():
        changes = {"model.latent_dim": latent_dim}
        if latent_dim in STEPS and mode != "smoke":
            changes["train.steps"] = STEPS[latent_dim]
        rows.append(
            {
                "name": f"q = {latent_dim}",
                "overrides": changes,
                "published": {"ELBO": optimum},
            }
        )
    return {
        "seeds": (0, 1),
        "columns": {"ELBO": "test/elbo_nats"},
        "rows": rows,
        "source": "log p(x) of the test images under probabilistic PCA of the training "
        "images, in closed form (Tipping & Bishop 1999), computed for this project",
        "tolerance": {"ELBO": 0.1},
    }

r"""Disentanglement on sprites: beta, and two penalties of the total correlation.

Command:  python launch.py --experiment=reproduce \
              --config=configs/papers/sprites_study.py
The protocol of Locatello et al. 2019 (arXiv 1811.12359), 20,000 steps of its 300,000.
Published values stand in table 1 of Lin et al. 2020 (InfoGAN-CR, arXiv 1906.06034), of
dSprites, trained for longer and in part with other networks.
"""

from typing import Any

from configs import default
from configs.papers import beta_vae_sprites


def get_config(mode: str = "") -> default.Config:
    return beta_vae_sprites.get_config(mode)


SCORES = ("beta_vae", "factor_vae", "mig", "dci_disentanglement", "modularity", "sap")
ANOTHER_BUDGET = "another budget: FactorVAE score {}, DCI {}, MIG {}"


def table() -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {"name": f"beta-VAE, beta = {beta:g}", "overrides": {"objective.beta": beta}}
        for beta in (1.0, 4.0, 16.0)
    ]
    rows[0]["published"] = ANOTHER_BUDGET.format(".63 +- .06", ".30 +- .10", ".10")
    rows[1]["published"] = ANOTHER_BUDGET.format(".63 +- .10", ".41 +- .11", ".21")
    rows += [
        {
            "name": "beta-TCVAE, beta = 6",
            "overrides": {"objective.name": "beta_tcvae", "objective.beta": 6.0},
        },
        {
            "name": "FactorVAE, gamma = 20",
            "overrides": {
                "objective.name": "factor_vae",
                "objective.beta": 1.0,
                "objective.tc_weight": 20.0,
            },
            "published": ANOTHER_BUDGET.format(".83 +- .01", ".70 +- .02", ".40 +- .01")
            + " (gamma = 10)",
        },
    ]
    columns = {name: f"disentanglement/{name}" for name in SCORES}
    columns["total correlation"] = "disentanglement/gaussian_total_correlation_nats"
    return {"seeds": (0, 1), "columns": columns, "rows": rows}

"""FactorVAE (Kim & Mnih 2018, arXiv 1802.05983) on sprites, by the protocol of
Locatello et al. 2019 (arXiv 1811.12359).

Command:  python launch.py --config=configs/papers/factor_vae_sprites.py
          (:full for the 300,000 steps of the study; it sweeps the weight over 10 20 30
          40 50 100)
"""

from configs import default
from configs.papers import beta_vae_sprites


def get_config(mode: str = "") -> default.Config:
    config = beta_vae_sprites.get_config(mode)
    config.objective.name, config.objective.beta = "factor_vae", 1.0
    config.objective.tc_weight = 20.0
    return config

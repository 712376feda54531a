"""beta-TCVAE (Chen et al. 2018, arXiv 1802.04942) on sprites, by the protocol of
Locatello et al. 2019 (arXiv 1811.12359).

Command:  python launch.py --config=configs/papers/beta_tcvae_sprites.py
          (:full for the 300,000 steps of the study; it sweeps beta over 1 2 4 6 8 10)
"""

from configs import default
from configs.papers import beta_vae_sprites


def get_config(mode: str = "") -> default.Config:
    config = beta_vae_sprites.get_config(mode)
    config.objective.name, config.objective.beta = "beta_tcvae", 6.0
    return config

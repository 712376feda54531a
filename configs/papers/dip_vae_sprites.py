"""DIP-VAE-II (Kumar et al. 2018, arXiv 1711.00848) on sprites, by the protocol of
Locatello et al. 2019 (arXiv 1811.12359): both weights are the same.

Command:  python launch.py --config=configs/papers/dip_vae_sprites.py
          (:full for the 300,000 steps of the study; it sweeps the weight over 1 2 5 10
          20 50. DIP-VAE-I: --config.objective.name=dip_vae_i, lambda_d = 10 lambda_od)
"""

from configs import default
from configs.papers import beta_vae_sprites


def get_config(mode: str = "") -> default.Config:
    config = beta_vae_sprites.get_config(mode)
    config.objective.name, config.objective.beta = "dip_vae_ii", 1.0
    config.objective.lambda_od = config.objective.lambda_d = 5.0
    return config

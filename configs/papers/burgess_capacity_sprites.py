"""Controlled capacity increase (Burgess et al. 2018, arXiv 1804.03599) on sprites, by
the protocol of Locatello et al. 2019 (arXiv 1811.12359).

Command:  python launch.py --config=configs/papers/burgess_capacity_sprites.py
          (:full for the 300,000 steps of the study, the first 100,000 of which raise
          the capacity; it sweeps that over 5 10 25 50 75 100)
"""

from configs import default
from configs.papers import beta_vae_sprites


def get_config(mode: str = "") -> default.Config:
    config = beta_vae_sprites.get_config(mode)
    config.objective.name, config.objective.beta = "capacity", 1.0
    config.objective.gamma, config.objective.capacity = 1_000.0, 25.0
    config.objective.annealing = "linear"
    config.objective.annealing_steps = float(max(1, config.train.steps // 3))
    return config

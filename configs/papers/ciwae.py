"""CIWAE (Rainforth et al. 2018, arXiv 1802.04537): ELBO and IWAE-64 mixed, on MNIST.

Command:  python launch.py --config=configs/papers/ciwae.py
"""

from configs import default
from configs.papers import iwae


def get_config(mode: str = "") -> default.Config:
    config = iwae.get_config(mode)
    config.objective.name = "ciwae"
    config.objective.num_samples, config.objective.elbo_share = 64, 0.5
    return config

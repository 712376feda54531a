"""MIWAE (Rainforth et al. 2018, arXiv 1802.04537): 8 bounds of 8 samples, on MNIST.

Command:  python launch.py --config=configs/papers/miwae.py
"""

from configs import default
from configs.papers import iwae


def get_config(mode: str = "") -> default.Config:
    config = iwae.get_config(mode)
    config.objective.name = "miwae"
    config.objective.num_samples, config.objective.num_bounds = 64, 8
    return config

"""Doubly reparameterised gradients (Tucker et al. 2019, arXiv 1810.04152) for IWAE, k =
5, on MNIST.

Command:  python launch.py --config=configs/papers/dreg.py
"""

from configs import default
from configs.papers import iwae


def get_config(mode: str = "") -> default.Config:
    config = iwae.get_config(mode)
    config.objective.name = "dreg"
    return config

"""Sticking the landing (Roeder et al. 2017, arXiv 1703.09194), on MNIST.

Command:  python launch.py --config=configs/papers/sticking_the_landing.py
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.objective.name = "sticking_the_landing"
    return config

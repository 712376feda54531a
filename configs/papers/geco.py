"""GECO (Rezende & Viola 2018, arXiv 1810.00597): the least rate at a given distortion.

Command:  python launch.py --config=configs/papers/geco.py
The distortion of binary MNIST is held at 80 nats.
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.objective.name = "geco"
    config.objective.distortion_target = 80.0
    return config

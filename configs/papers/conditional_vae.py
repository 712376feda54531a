"""Conditional VAE (Kingma et al. 2014, arXiv 1406.5298; Sohn et al. 2015), on MNIST.

Command:  python launch.py --config=configs/papers/conditional_vae.py
Encoder, decoder and prior are given the digit; samples.png has one in each column.
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.model.condition = "label"
    config.model.prior.name = "conditional_gaussian"
    return config

"""Gumbel-softmax (Jang et al. 2017, arXiv 1611.01144), on MNIST.

Command:  python launch.py --config=configs/papers/gumbel_vae.py
20 categorical variables of 10 classes; the temperature stays where it starts, and
evaluation draws hard codes, whose bound is exact.
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.model.posterior.name = "relaxed_categorical"
    config.model.posterior.num_classes = 10
    config.model.prior.name = "uniform_codes"
    return config

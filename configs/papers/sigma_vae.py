"""sigma-VAE (Rybkin et al. 2020, arXiv 2006.13202): the optimal variance, grey MNIST.

Command:  python launch.py --config=configs/papers/sigma_vae.py
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.dataset.binarize = "none"
    config.model.likelihood.name = "gaussian_optimal"
    return config

"""Hyperspherical VAE (Davidson et al. 2018, arXiv 1804.00891), on MNIST.

Command:  python launch.py --config=configs/papers/svae.py
Codes on the sphere in 10 dimensions; the paper finds it ahead of the Gaussian there.
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.model.latent_dim = 10
    config.model.posterior.name = "von_mises_fisher"
    config.model.prior.name = "uniform_on_sphere"
    return config

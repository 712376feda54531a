"""beta-VAE (Higgins et al. 2017, ICLR, "beta-VAE: Learning Basic Visual Concepts"), on
MNIST.

Command:  python launch.py --config=configs/papers/beta_vae.py
Beta multiplies the KL in nats; 4 is the paper's choice for dSprites.
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.model.latent_dim = 10
    config.objective.name, config.objective.beta = "beta_vae", 4.0
    return config

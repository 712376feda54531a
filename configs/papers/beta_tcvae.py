"""beta-TCVAE (Chen et al. 2018, arXiv 1802.04942), on MNIST.

Command:  python launch.py --config=configs/papers/beta_tcvae.py
Minibatch-weighted, beta = 6 as in the paper's dSprites; `objective.estimator=
stratified` for the other estimator.
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.model.latent_dim = 10
    config.objective.name, config.objective.beta = "beta_tcvae", 6.0
    return config

"""FactorVAE (Kim & Mnih 2018, arXiv 1802.05983), on MNIST.

Command:  python launch.py --config=configs/papers/factor_vae.py
The paper's discriminator (six layers of 1,000, Adam 1e-4, beta_1 = .5) and batch.
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.dataset.batch_size = 64
    config.model.latent_dim = 10
    config.objective.name, config.objective.tc_weight = "factor_vae", 10.0
    return config

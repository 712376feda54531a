"""Controlled capacity increase (Burgess et al. 2018, arXiv 1804.03599), on MNIST.

Command:  python launch.py --config=configs/papers/burgess_capacity.py
gamma and the final capacity are the paper's for dSprites; C grows linearly.
"""

from configs import default, mnist_conv_vae


def get_config(mode: str = "") -> default.Config:
    config = mnist_conv_vae.get_config(mode)
    config.model.latent_dim = 10
    config.objective.name = "capacity"
    config.objective.gamma, config.objective.capacity = 1_000.0, 25.0
    config.objective.annealing, config.objective.annealing_steps = "linear", 5_000.0
    return config

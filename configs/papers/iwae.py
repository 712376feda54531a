"""Importance weighted autoencoder (Burda et al. 2015, arXiv 1509.00519), k = 5.

Command:  python launch.py --config=configs/papers/iwae.py
The paper's schedule is `configs/mnist_vae.py`'s, cut to 13 of its 3,280 epochs.
"""

from configs import default, mnist_vae


def get_config(mode: str = "") -> default.Config:
    config = mnist_vae.get_config(mode)
    config.objective.name = "iwae"
    config.objective.num_samples = 5
    return config

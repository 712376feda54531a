"""DIP-VAE-II (Kumar et al. 2018, arXiv 1711.00848): uncorrelated codes, on MNIST.

Command:  python launch.py --config=configs/papers/dip_vae_ii.py
"""

from configs import default
from configs.papers import dip_vae_i


def get_config(mode: str = "") -> default.Config:
    config = dip_vae_i.get_config(mode)
    config.objective.name = "dip_vae_ii"
    config.objective.lambda_od, config.objective.lambda_d = 10.0, 10.0
    return config

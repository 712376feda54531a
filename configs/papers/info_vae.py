"""InfoVAE (Zhao et al. 2019, arXiv 1706.02262): the MMD-VAE, on MNIST.

Command:  python launch.py --config=configs/papers/info_vae.py
alpha = 1 drops the KL for each image; lambda is chosen to weigh as much as the
distortion (the paper's sec. 5).
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.objective.name, config.objective.kernel = "info_vae", "rbf"
    config.objective.alpha, config.objective.mmd_weight = 1.0, 1_000.0
    return config

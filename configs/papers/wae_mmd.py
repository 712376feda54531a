"""WAE-MMD (Tolstikhin et al. 2018, arXiv 1711.01558), a random encoder, on grey MNIST.

Command:  python launch.py --config=configs/papers/wae_mmd.py
The paper's latent dimension and kernel; its cost is the squared error, here a
Gaussian likelihood of scale 1/sqrt(2), whose distortion is that error and a constant.
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.dataset.binarize = "none"
    config.model.latent_dim = 8
    config.model.likelihood.name, config.model.likelihood.scale = "gaussian", 0.5**0.5
    config.objective.name, config.objective.kernel = "wae_mmd", "imq"
    config.objective.mmd_weight = 10.0
    return config

"""The linear VAE, whose optimum is probabilistic PCA (Lucas et al. 2019, arXiv
1911.02469; Dai et al. 2018, arXiv 1706.05148), on grey MNIST.

Command:  python launch.py --config=configs/papers/linear_vae.py
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.dataset.binarize = "none"
    config.model.latent_dim = 10
    config.model.likelihood.name = "gaussian_shared"
    for part in (config.model.encoder, config.model.decoder):
        part.widths = ()
    config.optimizer.schedule.name = "cosine"
    return config

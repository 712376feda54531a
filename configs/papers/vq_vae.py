"""VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937), on MNIST.

Command:  python launch.py --config=configs/papers/vq_vae.py
20 positions, one codebook of 64 vectors that follows by moving averages; an
autoregressive prior of the codes learns along.
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.model.posterior.name = "vector_quantized"
    config.model.posterior.num_classes = 64
    config.model.prior.name = "autoregressive_codes"
    config.objective.name = "vq_vae"
    return config

"""A RealNVP prior (Dinh et al. 2017, arXiv 1605.08803; as prior Chen et al. 2017, arXiv
1611.02731), on MNIST.

Command:  python launch.py --config=configs/papers/flow_prior.py
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.model.prior.name = "realnvp"
    return config

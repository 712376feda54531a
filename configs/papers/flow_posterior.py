"""Inverse autoregressive flow (Kingma et al. 2016, arXiv 1606.04934), on MNIST.

Command:  python launch.py --config=configs/papers/flow_posterior.py
`--config.model.posterior.name=planar_flow` for the flows of Rezende & Mohamed 2015
(arXiv 1505.05770), `coupling_flow` for those of Dinh et al. 2017 (arXiv 1605.08803).
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.model.posterior.name = "iaf"
    config.model.posterior.num_layers = 2
    return config

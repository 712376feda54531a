"""The variational Renyi bound (Li & Turner 2016, arXiv 1602.02311), alpha = 0.5, K = 5.

Command:  python launch.py --config=configs/papers/renyi.py
The architecture and schedule of `configs/papers/iwae.py`; alpha = 0 is that objective.
"""

from configs import default
from configs.papers import iwae


def get_config(mode: str = "") -> default.Config:
    config = iwae.get_config(mode)
    config.objective.name = "renyi"
    config.objective.alpha = 0.5
    return config

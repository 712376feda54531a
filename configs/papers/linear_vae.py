"""The linear VAE, whose optimum is probabilistic PCA (Lucas et al. 2019, arXiv
1911.02469; Dai et al. 2018, arXiv 1706.05148), on grey MNIST.

Command:  python launch.py --config=configs/papers/linear_vae.py
Expected: on the training images an ELBO within .1 nat of the optimum, 182.1547 at q =
10 (tests/vae/test_linear_vae.py).
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
    config.dataset.batch_size = 200
    config.optimizer.learning_rate = 4e-3
    config.optimizer.schedule.name = "cosine"
    if mode != "smoke":
        config.train.steps = 16_000
    return config

"""VampPrior (Tomczak & Welling 2018, arXiv 1705.07120), one layer, on static MNIST.

Command:  python launch.py --config=configs/papers/vamp.py
The paper's architecture, batch and rate; 13 epochs of up to its 2,000, 5 of warm-up in
place of 100.
"""

from configs import default
from configs.papers import vae


def get_config(mode: str = "") -> default.Config:
    config = vae.get_config(mode)
    config.dataset.binarize = "static"
    config.dataset.validation_size = 10_000
    config.model.latent_dim = 40
    config.model.prior.name, config.model.prior.num_components = "vamp", 500
    config.model.posterior.scale = "bounded_exp"
    for part in (config.model.encoder, config.model.decoder):
        part.name, part.widths = "gated_mlp", (300, 300)
        part.activation = "relu"  # the default: gates read none
    config.optimizer.learning_rate = 5e-4
    if mode != "smoke":
        config.train.steps = 13 * 500
    config.objective.name = "beta_vae"
    config.objective.annealing, config.objective.annealing_steps = "linear", 2_500.0
    return config

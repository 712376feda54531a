"""beta-VAE (Higgins et al. 2017, ICLR) on sprites, by the protocol of Locatello et al.
2019 (arXiv 1811.12359): 10 latent dimensions, batches of 64, Adam at 1e-4.

Command:  python launch.py --config=configs/papers/beta_vae_sprites.py
          (:full for the 300,000 steps of the study; it sweeps beta over 1 2 4 6 8 16)
"""

from configs import default


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name, config.dataset.binarize = "sprites", "none"
    config.dataset.batch_size = 64
    config.model.latent_dim = 10
    config.model.encoder.name = config.model.decoder.name = "conv_locatello"
    config.objective.name, config.objective.beta = "beta_vae", 4.0
    config.optimizer.learning_rate = 1e-4
    config.train.steps = 300_000 if mode == "full" else 20_000
    config.runtime.steps_per_call = 100  # seconds, after which Ctrl-C is heard
    config.train.log_every = 500
    config.runtime.checkpoint_every = 5_000
    config.evaluate.importance_samples = 20
    config.evaluate.factor_points = 10_000
    return default.finish(config, mode, "full")

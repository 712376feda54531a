"""A VAE on 5,000 real MNIST digits that come with the installation: no download.

Purpose:  see the whole product work within a minute.
Command:  python launch.py --config=configs/quickstart.py
Time:     @QS_TIME@
Expected: @QS_EXPECTED@
"""

from configs import default


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.model.latent_dim = 20
    config.train.steps = 5_000
    config.train.checkpoint_every = 2_500
    config.optimizer.schedule.name = "cosine"
    config.evaluate.importance_samples = 500
    return default.finish(config, mode)

"""A VAE on 5,000 real MNIST digits that come with the installation: no download.

Purpose:  see the whole product work within a minute.
Command:  python launch.py --config=configs/quickstart.py
Time:     23 s on 2 CPU cores (15 s of training)
Expected: test/elbo_nats -106.4 (+- 1.3 over the 500 test images)
"""

from configs import default


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.model.latent_dim = 20
    config.train.steps = 5_000
    config.runtime.checkpoint_every = 2_500
    config.optimizer.schedule.name = "cosine"
    config.evaluate.importance_samples = 500
    return default.finish(config, mode)

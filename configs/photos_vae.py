"""A convolutional VAE on a folder of your own photos.

Purpose:  a first model of colour pictures, with their shades as they are.
Command:  python launch.py --config=configs/photos_vae.py \\
              --config.dataset.name=images:DIR
          (--config.dataset.resize=128 for 128x128 pixels; any side divisible by 4)
"""

from configs import default


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "images:photos"
    config.dataset.resize = (64,)
    config.dataset.batch_size = 20
    config.model.latent_dim = 32
    config.model.likelihood.name = "gaussian_shared"  # binarize=auto is none with it
    for part in (config.model.encoder, config.model.decoder):
        part.name = "conv"
        part.channels = (32, 64)  # 64 -> 32 -> 16 pixels
        part.widths = (256,)
    config.optimizer.schedule.warmup_steps = 10
    config.train.steps = 5_000
    config.runtime.checkpoint_every = 1_000
    return default.finish(config, mode)

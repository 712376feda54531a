"""A convolutional VAE on MNIST.

Purpose:  convolutions of stride 2 (as matrix products on CPU) in place of dense layers.
Command:  python launch.py --config=configs/mnist_conv_vae.py
Time:     217 s on 2 CPU cores (154 s of training)
Expected: test/nll_is100_nats 90.55 (+- 0.23 over the 10,000 test images)
"""

from configs import default


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "mnist"
    config.model.latent_dim = 32
    for part in (config.model.encoder, config.model.decoder):
        part.name = "conv"
        part.channels = (32, 64)  # 28 -> 14 -> 7 pixels
        part.widths = (256,)
    config.optimizer.schedule.name = "cosine"
    config.train.steps = 6_000  # 10 epochs
    config.runtime.checkpoint_every = 2_000
    return default.finish(config, mode)

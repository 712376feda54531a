"""A very deep VAE of colour images of 32x32 pixels: groups of codes at each resolution.

Paper:    Child 2020, Very Deep VAEs, arXiv 2011.10650.
Command:  python launch.py --config=configs/top_down.py \\
              --config.dataset.name=npz:PATH
          (without the last, CIFAR-10 of TensorFlow Datasets)
Modes:    :full has the networks and the batch size of the paper's CIFAR-10 model: 39
          million parameters. The paper reports 2.87 bits per dimension, after six days
          on two V100.
"""

from configs import default

PIXELS = 32 * 32 * 3


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "cifar10"
    config.dataset.batch_size = 32
    model = config.model
    model.name, model.latent_dim = "top_down", 8
    model.encoder.name, model.decoder.name = "bottom_up", "top_down"
    # 12 groups
    model.encoder.layers = "32x1,32d2,16x2,16d2,8x2,8d2,4x2,4d4,1x1"
    model.decoder.layers = "1x1,4m1,4x1,8m4,8x2,16m8,16x3,32m16,32x1"
    model.likelihood.name = "discretized_logistic_mixture_rgb"
    config.optimizer.b2 = 0.9
    config.optimizer.learning_rate = 1e-3
    # Those of the paper's code for CIFAR-10, whose loss is per dimension.
    config.optimizer.clip_norm = 200.0 * PIXELS
    config.optimizer.skip_norm = 400.0 * PIXELS
    config.optimizer.weight_decay = 0.01
    config.optimizer.ema_decay = 0.999
    config.optimizer.schedule.warmup_steps = 100
    config.train.steps = 20_000
    config.evaluate.bounds.importance_samples = 1
    if mode == "full":
        model.latent_dim = 16
        model.encoder.width = model.decoder.width = 384
        model.encoder.layers = "32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3"
        model.decoder.layers = "1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21"
        config.optimizer.learning_rate = 2e-4
        config.optimizer.ema_decay = 0.9999
        config.train.steps = 1_000_000
    if mode == "smoke":
        model.encoder.width = model.decoder.width = 16
        model.encoder.layers = "32d4,8d8,1x1"
        model.decoder.layers = "1x1,8m1,32m8"  # 3 groups
        model.likelihood.num_components = 2
        config.dataset.batch_size = 8
    return default.finish(config, mode, "full")

"""The one-layer VAE of Burda et al. 2015 (IWAE, arXiv 1509.00519, Table 1, k = 1).

Purpose:  the field's reference VAE on MNIST, 13 epochs of the paper's 3,280.
Command:  python launch.py --config=configs/mnist_vae.py   (:full for all 3,280 epochs)
Time:     96 s on 2 CPU cores (49 s of training)
Expected: test/nll_is1000_nats 95.45 (+- 0.25 over the 10,000 test images)
"""

from configs import default

STEPS_PER_EPOCH = 60_000 // 20


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "mnist"
    config.dataset.batch_size = 20
    config.model.latent_dim = 50
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (200, 200)
        part.activation = "tanh"
    config.optimizer.eps = 1e-4
    config.optimizer.schedule.name = "iwae"
    epochs = 3_280 if mode == "full" else 13  # sum of 3^i for i < 8, or for i < 3
    config.train.steps = epochs * STEPS_PER_EPOCH
    config.train.log_every = 1_000
    config.runtime.checkpoint_every = 3 * STEPS_PER_EPOCH
    config.evaluate.importance_samples = 5_000 if mode == "full" else 1_000
    return default.finish(config, mode, "full")

"""Auto-encoding variational Bayes (Kingma & Welling 2013, arXiv 1312.6114), on MNIST.

Command:  python launch.py --config=configs/papers/vae.py
The paper's one hidden layer of 500 tanh units, batches of 100 and 20 latent
dimensions (fig. 2); Adam in place of its Adagrad, and 13 epochs.
"""

from configs import default


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "mnist"
    config.model.latent_dim = 20
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (500,)
        part.activation = "tanh"
    config.objective.name = "elbo"
    config.train.steps = 13 * 600
    config.train.log_every = 600
    config.runtime.checkpoint_every = 2_600
    config.evaluate.importance_samples = 1_000
    return default.finish(config, mode)

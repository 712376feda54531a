"""A VAE of your own counts: transcripts of cells, words of texts, purchases.

Purpose:  a first model of vectors of counts, which vary more than Poisson's do.
Command:  python launch.py --config=configs/counts_vae.py \\
              --config.dataset.name=npz:FILE
          (--config.model.likelihood.library=True to model how an example's total
          divides among the columns, and not the total itself)
"""

from configs import default


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "npz:counts.npz"
    config.model.latent_dim = 10
    config.model.likelihood.name = "negative_binomial"
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (128,)
    config.optimizer.schedule.warmup_steps = 10
    config.train.steps = 5_000
    config.runtime.checkpoint_every = 1_000
    return default.finish(config, mode)

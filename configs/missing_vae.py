"""A VAE on a table of your own with empty cells, which it then fills in.

Purpose:  to train on what is observed of each row, and to impute the rest.
Command:  python launch.py --config=configs/missing_vae.py \\
              --config.dataset.name=table:FILE.csv --workdir=DIR
          python launch.py --experiment=impute --workdir=DIR --data=table:FILE.csv
Paper:    Mattei & Frellsen 2019, arXiv 1812.02633 (MIWAE): the bound of IWAE, here with
          20 samples, on the log-density of the observed values.
"""

from configs import default


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "table:table.csv"
    config.dataset.scale = "standardize"
    config.dataset.missing = "observed_only"
    config.dataset.batch_size = 64
    config.model.latent_dim = 8
    config.model.likelihood.name = "per_column"
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (128, 128)
    config.objective.name = "iwae"
    config.objective.num_samples = 20
    config.train.steps = 5_000
    return default.finish(config, mode)

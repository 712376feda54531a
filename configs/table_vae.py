"""A VAE on a table of your own, in CSV or Parquet.

Purpose:  a first model of a table: each column has the likelihood of its kind.
Command:  python launch.py --config=configs/table_vae.py \\
              --config.dataset.name=table:FILE.csv
          (--config.dataset.label_column=NAME for a column that is not to be modelled;
          configs/missing_vae.py for a table with empty cells)
"""

from configs import default


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "table:table.csv"
    config.dataset.scale = "standardize"
    config.dataset.batch_size = 64
    config.model.latent_dim = 8
    config.model.likelihood.name = "per_column"
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (128, 128)
    config.train.steps = 5_000
    return default.finish(config, mode)

r"""Ten sets of binary data: what does a held-out row cost, beside a tree of dependences?

Command:  python examples/prepare_binary.py Density-Estimation-Datasets/datasets
          python launch.py --experiment=reproduce \
              --config=configs/papers/binary_densities.py
"""


from configs import default


def get_config(mode: str = "") -> default.Config:
    config = default.get_config()
    config.dataset.name = "npz:binary/dna.npz"
    config.dataset.validation_size = 400
    config.dataset.batch_size = 100
    config.model.latent_dim = 32
    for part in (config.model.encoder, config.model.decoder):
        part.widths = (200, 200)
    config.train.steps = 3_000
    config.evaluate.bounds.importance_samples = 500
    config.evaluate.chow_liu.pseudocount = 1.0
    return default.finish(config, mode)

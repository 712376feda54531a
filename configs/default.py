"""Every field of an experiment, once, with its unit and meaning.

The other files in this folder start from here and change what their experiment needs.
On its own it trains a small beta-VAE (beta = 1) on the embedded digits:

    python launch.py --config=configs/default.py
"""

from typing import Any

from ml_collections import ConfigDict

Config = Any  # a ConfigDict, whose fields no type checker knows


def get_config(mode: str = "") -> Config:
    config: Config = ConfigDict()
    config.seed = 0  # of initialisation, noise and data order
    config.parallel = "auto"  # auto | jit (sharded over the devices) | pmap
    config.num_devices = 0  # how many devices to use; 0: all there are
    config.precision = "float32"  # of the model: float32 | bfloat16 | float64
    config.matmul_precision = "default"  # of products: default | high | highest

    dataset = config.dataset = ConfigDict()
    dataset.name = "mnist_5k"  # mnist_5k | npz:PATH | images:DIR | a TFDS name
    dataset.data_dir = ""  # where TFDS data lie; empty: TFDS_DATA_DIR or TFDS's default
    dataset.binarize = "dynamic"  # dynamic (at each look) | static | threshold | none
    dataset.batch_size = 100  # examples per step, over all devices
    dataset.validation_size = 0  # examples cut from the end of train
    dataset.pipeline = "auto"  # resident (on the device) | stream | auto (by size)

    model = config.model = ConfigDict()
    model.name = "vae"
    model.latent_dim = 20
    model.encoder = ConfigDict()
    model.encoder.name = "mlp"  # mlp | conv
    model.encoder.widths = (400,)  # of the dense layers, from the image inwards
    model.encoder.channels = (32, 64)  # conv only: each halves the image
    model.encoder.activation = "relu"  # tanh | relu | leaky_relu | elu | gelu | silu
    model.encoder.convolution = "auto"  # conv only: matmul | lax | auto (matmul on CPU)
    # The decoder's fields are the encoder's, in the same order.
    model.decoder = model.encoder.copy_and_resolve_references()
    model.decoder.output_bias = "data_mean"  # starts at the train mean, or at zeros
    model.posterior = ConfigDict({"name": "diagonal_gaussian"})
    model.prior = ConfigDict({"name": "standard_normal"})
    model.likelihood = ConfigDict()
    model.likelihood.name = "bernoulli"  # bernoulli | gaussian
    model.likelihood.scale = 0.1  # gaussian only: standard deviation, pixels in [0, 1]

    objective = config.objective = ConfigDict()
    # vae | beta_vae | capacity | free_bits | free_bits_per_group | iwae | miwae | ciwae
    objective.name = "beta_vae"
    objective.beta = 1.0  # weight of the KL in nats; 1 where the objective has none
    objective.growth = (
        "constant"  # of beta or C: constant | linear | sigmoid | cyclical
    )
    objective.growth_steps = 10_000.0  # steps that the growth, or a cycle of it, takes
    objective.gamma = 1_000.0  # capacity: weight of |KL - C|
    objective.capacity = 25.0  # capacity: C after its growth, in nats
    objective.free_nats = 0.1  # free_bits: of each dimension, or of each group
    objective.num_samples = 1  # codes of each image; K of importance-weighted bounds
    objective.num_bounds = 1  # miwae: bounds that share the samples
    objective.elbo_share = 0.5  # ciwae: weight of the ELBO beside the bound

    optimizer = config.optimizer = ConfigDict()
    optimizer.name = "adam"  # adam | sgd
    optimizer.learning_rate = 1e-3  # at its peak
    optimizer.b1 = 0.9  # adam: decay of the first moment; sgd: momentum
    optimizer.b2 = 0.999  # adam only: decay of the second moment
    optimizer.eps = 1e-8  # adam only
    optimizer.clip_norm = 0.0  # global gradient norm is clipped to this; 0: it is not
    optimizer.schedule = ConfigDict()
    optimizer.schedule.name = "constant"  # constant | cosine | iwae
    optimizer.schedule.warmup_steps = 0  # linear growth of the rate from 0

    train = config.train = ConfigDict()
    train.steps = 10_000
    train.steps_per_call = 1_000  # steps in one compiled call; changes no result
    train.log_every = 500  # steps; a line holds the mean since the line before
    train.evaluate_every = 0  # steps between looks at the validation split; 0: never
    train.checkpoint_every = 5_000  # steps; the last step is always saved; 0: only it

    config.evaluate = ConfigDict()
    config.evaluate.importance_samples = 100  # K of the bound on log p(x)
    config.evaluate.batch_size = 100  # images at once; changes no result
    return finish(config, mode)


def finish(config: Config, mode: str, *other_modes: str) -> Config:
    """Shrinks the experiment to seconds if `mode` is "smoke"; refuses unknown modes."""
    if mode == "smoke":
        config.train.steps = 20
        config.train.steps_per_call = config.train.log_every = 10
        config.train.evaluate_every = 0
        config.train.checkpoint_every = 10
        config.evaluate.importance_samples = 2
    elif mode not in ("", *other_modes):
        raise ValueError(
            f"unknown mode {mode!r}: choose from {', '.join(('smoke', *other_modes))}"
        )
    return config

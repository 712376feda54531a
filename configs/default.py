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
    config.precision = "float32"  # of the model: float32 | bfloat16 | float64
    config.matmul_precision = "default"  # of products: default | high | highest

    dataset = config.dataset = ConfigDict()
    # mnist_5k | sprites | color_sprites | noisy_sprites | npz:PATH | images:DIR | the
    # name of an image data set of TensorFlow Datasets
    dataset.name = "mnist_5k"
    # dynamic (at each look) | static | threshold | none | auto (dynamic for Bernoulli
    # pixels, none for other likelihoods)
    dataset.binarize = "auto"
    # images:DIR: (side,) or (height, width), to which each picture is cut in the middle
    # and scaled; (): as they are.
    dataset.resize = ()
    dataset.skip_unreadable = False  # images:DIR: leave out files that cannot be read
    # npz:PATH: arrays are [N, C, H, W] (first) or [N, H, W, C] (last) | auto (last, but
    # a shape that looks like first is refused)
    dataset.channels = "auto"
    # Labels of the examples that are kept, in all splits, as in (3,); (): all.
    dataset.keep_labels = ()
    dataset.batch_size = 100  # examples per step, over all devices
    dataset.validation_size = 0  # examples cut from the end of train

    model = config.model = ConfigDict()
    model.name = "vae"
    model.latent_dim = 20  # dimensions; positions of discrete codes
    model.condition = "none"  # label: encoder and decoder are given it; some priors too
    # Of the kernels of encoder, decoder and posterior, but not of flows, nor those that
    # begin at zero (the last of each residual block):
    # glorot_uniform | fan_in_uniform (PyTorch's, of variance 1 / (3 fan in))
    # | normal (with a standard deviation of .1)
    model.initializer = "glorot_uniform"
    model.encoder = ConfigDict()
    model.encoder.name = "mlp"  # mlp | gated_mlp | conv | conv_locatello | resnet
    model.encoder.widths = (400,)  # of the dense layers, from the image inwards
    model.encoder.activation = "relu"  # tanh | relu | leaky_relu | elu | gelu | silu
    model.encoder.channels = (32, 64)  # conv, resnet: each halves the image
    model.encoder.blocks = 1  # resnet: residual blocks at each size
    model.encoder.convolution = "auto"  # matmul | lax | auto (matmul on CPU)
    # The decoder's fields are the encoder's, in the same order.
    model.decoder = model.encoder.copy_and_resolve_references()
    model.decoder.output_bias = "data_mean"  # starts at the train mean, or at zeros

    posterior = model.posterior = ConfigDict()
    # diagonal_gaussian | full_gaussian | planar_flow | iaf | coupling_flow
    # | von_mises_fisher | relaxed_categorical | vector_quantized
    posterior.name = "diagonal_gaussian"
    # diagonal_gaussian, flows: its standard deviation is exp (of half a log-variance)
    # | bounded_exp (the log-variance within [-6, 2]) | softplus
    posterior.scale = "exp"
    posterior.num_layers = 2  # of flows
    posterior.widths = (200,)  # iaf, coupling_flow: of each layer's network
    posterior.num_classes = 10  # of discrete codes, at each position
    posterior.temperature = 0.67  # relaxed_categorical
    posterior.embedding_dim = 16  # vector_quantized: length of a codebook's vector

    prior = model.prior = ConfigDict()
    # standard_normal | conditional_gaussian | gaussian_mixture | vamp | realnvp;
    # uniform_on_sphere for von_mises_fisher;
    # uniform_codes | autoregressive_codes for discrete codes
    prior.name = "standard_normal"
    prior.num_components = 500  # gaussian_mixture; vamp: its pseudo-inputs
    prior.num_layers = 4  # realnvp
    prior.widths = (200,)  # realnvp, autoregressive_codes: of their networks

    likelihood = model.likelihood = ConfigDict()
    # bernoulli | continuous_bernoulli | gaussian | gaussian_shared | gaussian_optimal
    # | gaussian_per_pixel | discretized_logistic | discretized_logistic_mixture
    # | categorical (over 256 levels)
    likelihood.name = "bernoulli"
    likelihood.scale = 0.1  # gaussian: standard deviation, pixels in [0, 1]
    likelihood.num_components = 10  # discretized_logistic_mixture

    objective = config.objective = ConfigDict()
    # elbo | beta_vae | capacity | free_bits | free_bits_per_group | geco | iwae | miwae
    # | ciwae | piwae | dreg | sticking_the_landing | beta_tcvae | factor_vae
    # | dip_vae_i | dip_vae_ii | info_vae | wae_mmd | vq_vae
    objective.name = "beta_vae"
    objective.beta = 1.0  # weight of the KL in nats; beta_tcvae: of the TC
    objective.growth = "constant"  # of beta or C: linear | sigmoid | cyclical
    objective.growth_steps = 10_000.0  # steps that the growth, or a cycle of it, takes
    objective.gamma = 1_000.0  # capacity: weight of |KL - C|
    objective.capacity = 25.0  # capacity: C after its growth, in nats
    objective.free_nats = 0.1  # free_bits: of each dimension, or of each group
    objective.distortion_target = 80.0  # geco: in nats
    objective.multiplier_learning_rate = 1e-4  # geco: a step of log multiplier per nat
    objective.num_samples = 1  # codes of each image; K of importance-weighted bounds
    objective.num_bounds = 1  # miwae, piwae: bounds that share the samples
    objective.elbo_share = 0.5  # ciwae: weight of the ELBO beside the bound
    objective.estimator = "weighted"  # beta_tcvae: minibatch weighted | stratified
    objective.tc_weight = 10.0  # factor_vae: weight of the total correlation (gamma)
    objective.discriminator_widths = (1000,) * 6  # factor_vae
    objective.discriminator_learning_rate = 1e-4  # factor_vae
    objective.lambda_od = 10.0  # dip_vae: weight of covariances
    objective.lambda_d = 100.0  # dip_vae: weight of variances' distance from 1
    objective.alpha = 0.0  # info_vae: weight of the mutual information
    objective.mmd_weight = 100.0  # info_vae, wae_mmd: lambda
    objective.kernel = "imq"  # info_vae, wae_mmd: rbf | imq (inverse multiquadratic)
    objective.commitment = 0.25  # vq_vae: weight of the distance to the codebook

    optimizer = config.optimizer = ConfigDict()
    optimizer.name = "adam"  # adam | adagrad | rmsprop | centered_rmsprop | sgd
    optimizer.learning_rate = 1e-3  # at its peak
    optimizer.b1 = 0.9  # adam: decay of the first moment; sgd: momentum
    optimizer.b2 = 0.999  # adam, (centered_)rmsprop: decay of the second moment
    optimizer.eps = 1e-8  # adam, adagrad, (centered_)rmsprop
    optimizer.clip_norm = 0.0  # global gradient norm is clipped to this; 0: it is not
    optimizer.schedule = ConfigDict()
    optimizer.schedule.name = "constant"  # constant | cosine | iwae
    optimizer.schedule.warmup_steps = 0  # linear growth of the rate from 0

    train = config.train = ConfigDict()
    train.steps = 10_000
    train.log_every = 500  # steps; a line holds the mean since the line before
    train.evaluate_every = 0  # steps between looks at the validation split; 0: never

    # How a run is computed; changes nothing of what comes out, but for rounding where
    # devices differ.
    runtime = config.runtime = ConfigDict()
    runtime.parallel = "auto"  # auto | jit (sharded over the devices) | pmap
    runtime.num_devices = 0  # how many devices to use; 0: all there are
    runtime.data_dir = ""  # where TFDS data lie; empty: TFDS_DATA_DIR or TFDS's default
    runtime.pipeline = "auto"  # resident (on the device) | stream | auto (by size)
    runtime.steps_per_call = 1_000  # steps in one compiled call
    runtime.checkpoint_every = 5_000  # steps; the last is always saved; 0: only that

    config.evaluate = ConfigDict()
    config.evaluate.importance_samples = 100  # K of the bound on log p(x)
    config.evaluate.batch_size = 100  # images at once; changes no result
    # Components of a Gaussian mixture fitted to the codes of the training images, to
    # draw samples from beside the prior's; 0: none.
    config.evaluate.fitted_components = 0
    # Training points of each disentanglement score, for data whose factors are known
    # (half as many test it; Locatello et al. 2019 take 10,000); 0: no scores.
    config.evaluate.factor_points = 0
    # What the run's model is asked to tell from its own test images: "other_labels" (of
    # the test images, those not kept) or a data set, as for dataset.name; "": nothing.
    config.evaluate.anomalies = ""
    # Of each kind, scored by likelihood regret too, which trains 100 steps for each.
    config.evaluate.regret_images = 0
    config.evaluate.ppca_components = 32  # of the baseline
    # Test images whose log p(x) is bounded by annealing, too, with as many simulated
    # from the model, of which it is known how far the bound may be off; 0: none.
    config.evaluate.annealed_images = 0
    config.evaluate.annealed_steps = 1_000  # temperatures; Wu et al. 2017 take 10,000
    return finish(config, mode)


def finish(config: Config, mode: str, *other_modes: str) -> Config:
    """Shrinks the experiment to seconds if `mode` is "smoke"; refuses unknown modes."""
    if mode == "smoke":
        config.train.steps = 20
        config.runtime.steps_per_call = config.train.log_every = 10
        config.train.evaluate_every = 0
        config.runtime.checkpoint_every = 10
        config.evaluate.importance_samples = 2
        config.evaluate.factor_points = min(400, config.evaluate.factor_points)
        config.evaluate.regret_images = min(20, config.evaluate.regret_images)
        if config.evaluate.annealed_images:
            config.evaluate.annealed_images = min(4, config.evaluate.annealed_images)
            config.evaluate.annealed_steps = min(10, config.evaluate.annealed_steps)
    elif mode not in ("", *other_modes):
        raise ValueError(
            f"unknown mode {mode!r}: choose from {', '.join(('smoke', *other_modes))}"
        )
    return config

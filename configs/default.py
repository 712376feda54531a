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
    config.matmul_precision = (
        "default"  # of networks' products: default | high | highest
    )

    dataset = config.dataset = ConfigDict()
    # A key of SOURCES in vae/data/sources.py (mnist_5k, sprites, npz:PATH, images:DIR,
    # ...) or the name of an image data set of TensorFlow Datasets.
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
    # npz:PATH, table:PATH: missing values (nan, null, empty cells): refuse |
    # observed_only (bounds are those of the other values: Mattei & Frellsen 2019)
    dataset.missing = "refuse"
    # table:PATH, h5ad:PATH: the column of labels; "": there are none.
    dataset.label_column = ""
    # table:PATH, h5ad:PATH: the column that holds train or test; "": a random share of
    # the rows is test, the same in every run.
    dataset.split_column = ""
    dataset.test_share = 0.2
    # table:PATH: kinds of columns that are not as inferred, as in ("age:count",
    # "id:ignore"): real | binary | category | count | ignore
    dataset.column_kinds = ()
    # Vectors: none | standardize (mean 0, standard deviation 1) | robust (median and
    # interquartile range) | log1p (log(1 + x)); fitted to the training data
    dataset.scale = "none"
    # Of training images: none | horizontal (each is mirrored with probability 1/2)
    dataset.flip = "none"
    # Labels of the examples that are kept, in all splits, as in (3,); (): all.
    dataset.keep_labels = ()
    dataset.batch_size = 100  # examples per step, over all devices
    dataset.validation_size = 0  # examples cut from the end of train

    model = config.model = ConfigDict()
    model.name = "vae"
    # Dimensions; positions of discrete codes. top_down: channels of each group's codes.
    model.latent_dim = 20
    model.condition = "none"  # label: encoder and decoder are given it; some priors too
    # chain, ladder: sizes of the groups of codes above the first, whose size is
    # latent_dim, and of the two layers below each.
    model.groups = ()
    model.group_widths = ()
    model.group_activation = "tanh"
    model.group_normalization = "none"  # | batch
    # Of all kernels, except in the prior and in flows, and except those that begin at
    # zero (the last of each residual block):
    # glorot_uniform | fan_in_uniform (PyTorch's, of variance 1 / (3 fan in))
    # | normal (with a standard deviation of .1)
    model.initializer = "glorot_uniform"
    model.encoder = ConfigDict()
    model.encoder.name = "mlp"  # a key of ENCODERS in vae/registry.py, as conv
    model.encoder.widths = (400,)  # of the dense layers, from the image inwards
    model.encoder.activation = "relu"  # see ACTIVATIONS in vae/nn/layers.py
    # mlp, gated_mlp: none | batch (batch normalisation before each activation)
    model.encoder.normalization = "none"
    model.encoder.channels = (32, 64)  # of convolutions: each halves the image
    model.encoder.blocks = 1  # resnet and the like: residual blocks at each size
    model.encoder.convolution = "auto"  # matmul | lax | auto (the faster)
    # bottom_up, top_down: 32x2 are two blocks at 32x32; 32d2 halves what it gives;
    # 32m16 adds what was reached at 16x16. Each block of top_down has a group of codes.
    model.encoder.layers = "32x1,32d2,16x1,16d2,8x1,8d2,4x1,4d4,1x1"
    model.encoder.width = 64  # bottom_up, top_down: channels
    model.encoder.bottleneck = 0.25  # share of them within a block
    # The decoder's fields are the encoder's, in the same order.
    model.decoder = model.encoder.copy_and_resolve_references()
    model.decoder.layers = "1x1,4m1,8m4,16m8,16x1,32m16,32x1"
    model.decoder.output_bias = "data_mean"  # starts at the train mean, or at zeros

    posterior = model.posterior = ConfigDict()
    # A key of POSTERIORS in vae/registry.py, as vector_quantized.
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
    # A key of PRIORS, over the space of the posterior; a wrong one is refused with
    # those that work.
    prior.name = "standard_normal"
    prior.num_components = 500  # gaussian_mixture; vamp: its pseudo-inputs
    prior.num_layers = 4  # realnvp
    prior.widths = (200,)  # realnvp, autoregressive_codes: of their networks

    likelihood = model.likelihood = ConfigDict()
    # A key of LIKELIHOODS, as gaussian_shared.
    likelihood.name = "bernoulli"
    likelihood.scale = 0.1  # gaussian: standard deviation, pixels in [0, 1]
    likelihood.num_components = 10  # discretized_logistic_mixture
    # poisson, (zero_inflated_)negative_binomial: means are shares of the example's own
    # total, an observed covariate (scVI)
    likelihood.library = False
    likelihood.dispersion = "per_column"  # (zero_inflated_)negative_binomial: | shared
    likelihood.degrees = 4.0  # student_t: degrees of freedom

    objective = config.objective = ConfigDict()
    # A key of OBJECTIVES in vae/registry.py, as iwae.
    objective.name = "beta_vae"
    objective.beta = 1.0  # weight of the KL in nats; beta_tcvae: of the TC
    objective.annealing = "constant"  # of beta or C: linear | sigmoid | cyclical
    objective.annealing_steps = 10_000.0  # of annealing, or of a cycle of it
    objective.gamma = 1_000.0  # capacity: weight of |KL - C|
    objective.capacity = 25.0  # capacity: C after annealing, in nats
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
    objective.alpha = 0.0  # of its paper; info_vae: weight of the mutual information
    objective.mmd_weight = 100.0  # info_vae, wae_mmd: lambda
    objective.kernel = "imq"  # info_vae, wae_mmd: rbf | imq (inverse multiquadratic)
    objective.commitment = 0.25  # vq_vae: weight of the distance to the codebook

    optimizer = config.optimizer = ConfigDict()
    optimizer.name = "adam"  # a key of OPTIMIZERS in vae/registry.py, as sgd
    optimizer.learning_rate = 1e-3  # at its peak
    optimizer.b1 = 0.9  # adam, adamax: decay of the first moment; sgd: momentum
    optimizer.b2 = 0.999  # adam, adamax, (centered_)rmsprop: of the second moment
    optimizer.eps = 1e-8  # adam, adamax, adagrad, (centered_)rmsprop
    optimizer.clip_norm = 0.0  # global gradient norm is clipped to this; 0: it is not
    # An update whose gradient's global norm is above this, or that is not finite, is
    # skipped; 0: none is.
    optimizer.skip_norm = 0.0
    optimizer.weight_decay = 0.0  # of kernels, times the learning rate (AdamW); 0: none
    optimizer.ema_decay = 0.0  # of an average of weights, evaluated too; 0: none
    optimizer.schedule = ConfigDict()
    optimizer.schedule.name = "constant"  # a key of SCHEDULES, as cosine
    optimizer.schedule.warmup_steps = 0  # in which the rate rises from 0

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
    runtime.evaluation_batch_size = 100  # images at once

    evaluate = config.evaluate = ConfigDict()
    evaluate.bounds = ConfigDict()
    evaluate.bounds.importance_samples = 100  # K of the bound on log p(x)
    evaluate.anomalies = ConfigDict()
    # Anomalies to tell from the test images: "other_labels" (test images of labels that
    # are not kept) or a data set, as for dataset.name; "": none.
    evaluate.anomalies.source = ""
    # How many normal and how many anomalous images are scored by likelihood regret,
    # which trains 100 steps on each.
    evaluate.anomalies.regret_images = 0
    evaluate.anomalies.ppca_components = 32  # of the baseline
    # Whether k nearest neighbours, isolation forest, one-class SVM and local outlier
    # factor score them, too.
    evaluate.anomalies.baselines = False
    # The share of the test values that are hidden and imputed, by a model of missing
    # values; 0: none.
    evaluate.imputation = ConfigDict()
    evaluate.imputation.hide = 0.0
    evaluate.imputation.importance_samples = 1_000  # K
    # Of binary data: the pseudocount of a Chow-Liu tree, a baseline; 0 turns it off.
    evaluate.chow_liu = ConfigDict()
    evaluate.chow_liu.pseudocount = 0.0
    # Components of a Gaussian mixture fitted to the codes of the training images, to
    # draw samples from beside the prior's; 0: none.
    evaluate.fitted_density = ConfigDict()
    evaluate.fitted_density.components = 0
    # Training points of each disentanglement score, for data whose factors are known
    # (half as many test it; Locatello et al. 2019 take 10,000); 0: no scores.
    evaluate.disentanglement = ConfigDict()
    evaluate.disentanglement.points = 0
    # Test images for annealed importance sampling, and as many simulated ones, on which
    # its error is known; 0: none.
    evaluate.ais = ConfigDict()
    evaluate.ais.images = 0
    evaluate.ais.steps = 1_000  # temperatures; Wu et al. 2017 take 10,000
    return finish(config, mode)


def finish(config: Config, mode: str, *other_modes: str) -> Config:
    """Shrinks the experiment to seconds if `mode` is "smoke"; refuses unknown modes."""
    if mode == "smoke":
        config.train.steps = 20
        config.runtime.steps_per_call = config.train.log_every = 10
        config.train.evaluate_every = 0
        config.runtime.checkpoint_every = 10
        schedule = config.optimizer.schedule
        schedule.warmup_steps = min(10, schedule.warmup_steps)
        evaluate = config.evaluate
        evaluate.bounds.importance_samples = 2
        evaluate.disentanglement.points = min(400, evaluate.disentanglement.points)
        evaluate.anomalies.regret_images = min(20, evaluate.anomalies.regret_images)
        if evaluate.ais.images:
            evaluate.ais.images = min(4, evaluate.ais.images)
            evaluate.ais.steps = min(10, evaluate.ais.steps)
    elif mode not in ("", *other_modes):
        raise ValueError(
            f"unknown mode {mode!r}: choose from {', '.join(('smoke', *other_modes))}"
        )
    return config

"""From configuration to built objects: the only reader of `ConfigDict`.

The menus are plain dictionaries; a new method is one more line in one of them.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from ml_collections import ConfigDict

from vae import decoders, encoders, likelihoods, posteriors, priors
from vae.checks import check_fields_are_read, check_numbers, check_support, one_of, pick
from vae.data import preprocess, sources
from vae.data.splits import Dataset, cut_validation
from vae.evaluation.evaluate import Evaluator, make_evaluator
from vae.models.base import Model
from vae.models.vae import VAE
from vae.objectives import elbo, importance, schedules
from vae.training import optimizer
from vae.training.loop import TrainPlan
from vae.training.parallel import MODES, Placement, make_placement
from vae.types import Objective, UserError

Config = Any  # a ConfigDict, whose fields no type checker knows

# Fields that change how a run is done but nothing of what comes out (up to rounding
# where devices differ): a workdir may be taken up again with other values of these.
HOW_NOT_WHAT = (
    "parallel",
    "num_devices",
    "dataset.data_dir",
    "dataset.pipeline",
    "train.steps_per_call",
    "train.checkpoint_every",
    "evaluate.batch_size",
)
RESIDENT_BYTES = 2**30  # data up to this size are kept on the device
PIPELINES = ("auto", "resident", "stream")
PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float64": jnp.float64}
MATMUL_PRECISIONS = ("default", "high", "highest")
CONVOLUTIONS = ("auto", "matmul", "lax")
OUTPUT_BIASES = ("data_mean", "zeros")

ACTIVATIONS = {
    "tanh": nn.tanh,
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "gelu": nn.gelu,
    "silu": nn.silu,
}
ENCODERS = {"mlp": encoders.MLPEncoder, "conv": encoders.ConvEncoder}
DECODERS = {"mlp": decoders.MLPDecoder, "conv": decoders.ConvDecoder}
POSTERIORS = {"diagonal_gaussian": posteriors.DiagonalGaussian}
PRIORS = {"standard_normal": priors.StandardNormal}
LIKELIHOODS: dict[str, Callable[[Any], Any]] = {
    "bernoulli": lambda c: likelihoods.Bernoulli(),
    "gaussian": lambda c: likelihoods.Gaussian(c.scale),
}
MODELS = {"vae": VAE}
GROWTHS = {
    "constant": schedules.constant,
    "linear": schedules.linear,
    "sigmoid": schedules.sigmoid,
    "cyclical": schedules.cyclical,
}
PENALTIES = {
    "beta_vae": elbo.beta_vae,
    "capacity": elbo.capacity,
    "free_bits": elbo.free_bits_per_dimension,
    "free_bits_per_group": elbo.free_bits_per_group,
}
BOUNDS: dict[str, Callable[[Any], importance.Bound]] = {
    "iwae": lambda c: importance.iwae,
    "miwae": lambda c: importance.miwae(c.num_bounds),
    "ciwae": lambda c: importance.ciwae,
}
OBJECTIVES = ("vae", *PENALTIES, *BOUNDS)
OPTIMIZERS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "adam": lambda c: optax.scale_by_adam(c.b1, c.b2, c.eps),
    "sgd": lambda c: optax.trace(c.b1),
}
SCHEDULES: dict[str, Callable[[int, int], optimizer.Schedule]] = {
    "constant": lambda steps, steps_per_epoch: optimizer.constant(),
    "cosine": lambda steps, steps_per_epoch: optimizer.cosine(steps),
    "iwae": lambda steps, steps_per_epoch: optimizer.iwae(steps_per_epoch),
}


class Experiment(NamedTuple):
    """A configuration, checked and built."""

    config: dict[str, Any]  # the operative configuration, as JSON holds it
    seed: int
    dataset: Dataset
    batch_size: int
    preprocess: Callable[[jax.Array, jax.Array], jax.Array]
    resident: bool  # the data path
    model: Model
    objective: Objective
    tx: optax.GradientTransformationExtraArgs
    hparams: dict[str, jax.Array]
    plan: TrainPlan
    placement: Placement
    make_evaluator: Callable[..., Evaluator]  # (name=, num_samples=, on_batch=)
    importance_samples: int


def build(config: Config) -> Experiment:
    """Checks the configuration and builds what it names.

    Sets JAX's precision for the process, and loads the data (which TFDS data sets
    leave decoded in the user's cache).

    Raises:
      UserError: a value is not acceptable, or the data do not fit it.
    """
    check_numbers(operative(config))
    check_fields_are_read(operative(config))
    _set_numerics(config)
    dataset = _build_dataset(config)
    batch_size = config.dataset.batch_size
    if batch_size > dataset.train.size:
        raise UserError(
            f"dataset.batch_size={batch_size} is larger than the training data "
            f"({dataset.train.size} images)"
        )
    one_of("parallel", config.parallel, MODES)
    placement = make_placement(config.parallel, config.num_devices, batch_size)
    dtype = PRECISIONS[config.precision]
    density_dtype = jnp.promote_types(dtype, jnp.float32)
    to_model = preprocess.make_preprocess(config.dataset.binarize, density_dtype)
    model = _build_model(config, dataset, dtype)
    pipeline = one_of("dataset.pipeline", config.dataset.pipeline, PIPELINES)
    if pipeline == "auto":
        fits = dataset.train.images.nbytes <= RESIDENT_BYTES
        pipeline = "resident" if fits else "stream"
    numbers = {**config.objective, "learning_rate": config.optimizer.learning_rate}

    def make_split_evaluator(**kwargs: Any) -> Evaluator:
        return make_evaluator(
            model,
            to_model,
            batch_size=config.evaluate.batch_size,
            seed=config.seed,
            by_example=placement.by_example,
            replicated=placement.replicated,
            is_discrete=model.likelihood.is_discrete,
            **kwargs,
        )

    return Experiment(
        config=operative(config),
        seed=config.seed,
        dataset=dataset,
        batch_size=batch_size,
        preprocess=to_model,
        resident=pipeline == "resident",
        model=model,
        objective=_build_objective(config.objective, model),
        tx=_build_optimizer(config, dataset.train.size // batch_size),
        hparams={
            name: jnp.asarray(value, density_dtype)
            for name, value in numbers.items()
            if isinstance(value, float)
        },
        plan=TrainPlan(**config.train),
        placement=placement,
        make_evaluator=make_split_evaluator,
        importance_samples=config.evaluate.importance_samples,
    )


def operative(config: Config) -> dict[str, Any]:
    """Returns the configuration as a plain tree that JSON gives back unchanged."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return list(value) if isinstance(value, tuple) else value

    return plain(config.to_dict())


def from_operative(config: dict[str, Any]) -> Config:
    """The inverse of `operative`."""
    return ConfigDict(config)


def _build_dataset(config: Config) -> Dataset:
    binarize = config.dataset.binarize
    one_of("dataset.binarize", binarize, preprocess.BINARIZATIONS)
    c = config.model.likelihood
    likelihood = pick("model.likelihood.name", c.name, LIKELIHOODS)(c)
    train, test = sources.load(config.dataset.name, config.dataset.data_dir)
    dataset = cut_validation(train, test, config.dataset.validation_size)
    dataset = preprocess.binarize_on_host(dataset, binarize)
    if binarize == "none":
        check_support(dataset, likelihood, c.name)
    return dataset


def _build_model(config: Config, dataset: Dataset, dtype: Any) -> Model:
    c = config.model
    model = pick("model.name", c.name, MODELS)
    posterior = pick("model.posterior.name", c.posterior.name, POSTERIORS)
    prior = pick("model.prior.name", c.prior.name, PRIORS)
    likelihood = LIKELIHOODS[c.likelihood.name](c.likelihood)
    encoder = pick("model.encoder.name", c.encoder.name, ENCODERS)
    decoder = pick("model.decoder.name", c.decoder.name, DECODERS)
    height, width, channels = dataset.image_shape
    features = channels * likelihood.features_per_channel
    bias = one_of("model.decoder.output_bias", c.decoder.output_bias, OUTPUT_BIASES)
    bias_init = nn.initializers.zeros
    if bias == "data_mean":
        mean = preprocess.mean_image(dataset.train)
        bias_init = decoders.bias_from_mean(mean, likelihood.features_of_mean)
    return model(
        encoder=encoder(**_layers("encoder", c.encoder, (height, width)), dtype=dtype),
        posterior=posterior(c.latent_dim, dtype),
        prior=prior(c.latent_dim, dtype),
        decoder=decoder(
            **_layers("decoder", c.decoder, (height, width)),
            image_shape=(height, width, features),
            bias_init=bias_init,
            dtype=dtype,
        ),
        likelihood=likelihood,
    )


def _layers(part: str, c: Config, size: tuple[int, int]) -> dict[str, Any]:
    """Returns the arguments that encoder and decoder of one kind share."""
    activation = pick(f"model.{part}.activation", c.activation, ACTIVATIONS)
    arguments = {"widths": tuple(c.widths), "activation": activation}
    if c.name != "conv":
        return arguments
    factor = 2 ** len(c.channels)
    if not c.channels:
        raise UserError(f"model.{part}.channels=() is empty: give one per halving")
    if size[0] % factor or size[1] % factor:
        raise UserError(
            f"model.{part}.channels={tuple(c.channels)} halves the image "
            f"{len(c.channels)} times, but {size[0]}x{size[1]} pixels cannot be "
            f"divided by {factor}; give fewer channels"
        )
    method = one_of(f"model.{part}.convolution", c.convolution, CONVOLUTIONS)
    if method == "auto":
        method = "matmul" if jax.default_backend() == "cpu" else "lax"
    return {**arguments, "channels": tuple(c.channels), "method": method}


def _build_objective(c: Config, model: Model) -> Objective:
    name = one_of("objective.name", c.name, OBJECTIVES)
    growth = pick("objective.growth", c.growth, GROWTHS)
    if name in BOUNDS:
        if c.num_samples % c.num_bounds:
            raise UserError(
                f"objective.num_samples={c.num_samples} cannot be shared among "
                f"objective.num_bounds={c.num_bounds}; make it a multiple"
            )
        return importance.make_importance_weighted(
            model, BOUNDS[name](c), num_samples=c.num_samples
        )
    if name == "vae":
        name, growth = "beta_vae", schedules.constant
    return elbo.make_penalized(
        model, PENALTIES[name](growth), num_samples=c.num_samples
    )


def _build_optimizer(
    config: Config, steps_per_epoch: int
) -> optax.GradientTransformationExtraArgs:
    c = config.optimizer
    scaling = pick("optimizer.name", c.name, OPTIMIZERS)(c)
    schedule = pick("optimizer.schedule.name", c.schedule.name, SCHEDULES)
    return optimizer.make_optimizer(
        scaling,
        optimizer.with_warmup(
            schedule(config.train.steps, steps_per_epoch), c.schedule.warmup_steps
        ),
        c.clip_norm,
    )


def _set_numerics(config: Config) -> None:
    one_of("precision", config.precision, tuple(PRECISIONS))
    precision = one_of("matmul_precision", config.matmul_precision, MATMUL_PRECISIONS)
    jax.config.update("jax_enable_x64", config.precision == "float64")
    jax.config.update("jax_default_matmul_precision", precision)

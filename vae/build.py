"""From configuration to built objects: the only reader of `ConfigDict`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from vae import menus
from vae.checks import check_fields_are_read, check_numbers, one_of, pick
from vae.compatibility import check_fitted_density, check_minibatch, check_support
from vae.compose import compose_model
from vae.data import preprocess, sources
from vae.data.splits import Dataset, cut_validation
from vae.evaluation.evaluate import Evaluator, make_evaluator
from vae.latents.aggregate import FITTED_CODES
from vae.models.base import Model
from vae.training import optimizer
from vae.training.loop import TrainPlan
from vae.training.parallel import MODES, Placement, make_placement
from vae.training.state import create_train_state
from vae.types import Batch, Objective, UserError

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
    metric_names: tuple[str, ...]  # of the objective
    tx: optax.GradientTransformationExtraArgs
    hparams: dict[str, jax.Array]
    plan: TrainPlan
    placement: Placement
    make_evaluator: Callable[..., Evaluator]  # (name=, num_samples=, on_batch=)
    importance_samples: int
    fitted_components: int  # of the density fitted to the codes; 0: none


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
    model = compose_model(config.model, dataset, dtype)
    check_minibatch(config.objective, batch_size)
    check_fitted_density(
        config.model.posterior.name,
        config.evaluate.fitted_components,
        min(dataset.train.size, FITTED_CODES),
    )
    numbers = {**config.objective, "learning_rate": config.optimizer.learning_rate}
    hparams = {
        name: jnp.asarray(value, density_dtype)
        for name, value in numbers.items()
        if isinstance(value, float)
    }
    pipeline = one_of("dataset.pipeline", config.dataset.pipeline, PIPELINES)
    if pipeline == "auto":
        fits = dataset.train.images.nbytes <= RESIDENT_BYTES
        pipeline = "resident" if fits else "stream"
    make_objective = objective_maker(config.objective, model, dataset)
    batch = _abstract_batch(dataset, batch_size, density_dtype)
    metric_names = _trace(model, make_objective(None), batch, hparams)

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
        objective=make_objective(placement.axis_name),
        metric_names=metric_names,
        tx=_build_optimizer(config, dataset.train.size // batch_size),
        hparams=hparams,
        plan=TrainPlan(**config.train),
        placement=placement,
        make_evaluator=make_split_evaluator,
        importance_samples=config.evaluate.importance_samples,
        fitted_components=config.evaluate.fitted_components,
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
    likelihood = pick("model.likelihood.name", c.name, menus.LIKELIHOODS)(c)
    train, test = sources.load(config.dataset.name, config.dataset.data_dir)
    dataset = cut_validation(train, test, config.dataset.validation_size)
    dataset = preprocess.binarize_on_host(dataset, binarize)
    if binarize == "none":
        check_support(dataset, likelihood, c.name)
    return dataset


def objective_maker(
    c: menus.Group, model: Model, dataset: Dataset
) -> Callable[[str | None], Objective]:
    """Returns what builds the objective, given the name of a `pmap`'s axis or None.

    Raises:
      UserError: a name is unknown, or samples cannot be shared.
    """
    make = pick("objective.name", c.name, menus.OBJECTIVES)
    one_of("objective.estimator", c.estimator, tuple(menus.ESTIMATORS))
    one_of("objective.kernel", c.kernel, tuple(menus.KERNELS))
    if c.num_samples % c.num_bounds:
        raise UserError(
            f"objective.num_samples={c.num_samples} cannot be shared among "
            f"objective.num_bounds={c.num_bounds}; make it a multiple"
        )
    task = menus.Task(
        model=model,
        code_dim=model.posterior.code_dim,
        dataset_size=dataset.train.size,
        growth=pick("objective.growth", c.growth, menus.GROWTHS),
        axis_name=None,
    )
    return lambda axis_name: make(c, task._replace(axis_name=axis_name))


def _abstract_batch(dataset: Dataset, batch_size: int, dtype: Any) -> Batch:
    """Describes a batch, without its numbers."""

    def array(shape: tuple[int, ...], dtype: Any) -> Any:
        return jax.ShapeDtypeStruct((batch_size, *shape), dtype)

    labels = dataset.train.labels
    return Batch(
        image=array(dataset.image_shape, dtype),
        label=None if labels is None else array((), labels.dtype),
        position=array((), jnp.int32),
    )


def _trace(
    model: Model, objective: Objective, batch: Batch, hparams: dict[str, jax.Array]
) -> tuple[str, ...]:
    """Returns the names of the objective's metrics.

    The loss is written down but not computed: an objective that the model does not
    give what it needs refuses here, before anything is trained.

    Raises:
      UserError: it refuses, and says what to change.
    """

    def metrics_of(batch: Batch):
        state = create_train_state(
            0,
            batch,
            model=model,
            objective=objective,
            tx=optax.identity(),
            hparams=hparams,
        )
        key = jax.random.key(0)
        return objective.loss(state.params, batch, key, hparams, state.step)[1]

    return tuple(jax.eval_shape(metrics_of, batch))


def _build_optimizer(
    config: Config, steps_per_epoch: int
) -> optax.GradientTransformationExtraArgs:
    c = config.optimizer
    scaling = pick("optimizer.name", c.name, menus.OPTIMIZERS)(c)
    schedule = pick("optimizer.schedule.name", c.schedule.name, menus.SCHEDULES)
    of_model = optimizer.make_optimizer(
        scaling,
        optimizer.with_warmup(
            schedule(config.train.steps, steps_per_epoch), c.schedule.warmup_steps
        ),
        c.clip_norm,
    )
    own = menus.OBJECTIVE_OPTIMIZERS.get(config.objective.name, lambda: of_model)
    return optimizer.by_part(of_model, own())


def _set_numerics(config: Config) -> None:
    one_of("precision", config.precision, tuple(PRECISIONS))
    precision = one_of("matmul_precision", config.matmul_precision, MATMUL_PRECISIONS)
    jax.config.update("jax_enable_x64", config.precision == "float64")
    jax.config.update("jax_default_matmul_precision", precision)

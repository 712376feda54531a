"""From configuration to built objects: the only reader of `ConfigDict`."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from vae.checks import check_fields_are_read, check_numbers, describe_lopsided
from vae.compatibility import (
    check_annealing,
    check_factors,
    check_fitted_density,
    check_minibatch,
)
from vae.compose import build_optimizer, model_maker, objective_maker
from vae.data import preprocess, sources
from vae.data.factors import FactorSource
from vae.data.splits import Dataset, Split, epoch_size, keep_labels
from vae.datasets import (
    for_model,
    load_anomalies,
    load_dataset,
    settle_binarize,
)
from vae.latents.aggregate import FITTED_CODES
from vae.models.base import Model
from vae.sharing import PRECISIONS, latent_width, traced_hparams
from vae.training.loop import TrainPlan
from vae.training.parallel import MODES, Placement, make_placement
from vae.training.state import create_train_state
from vae.types import Batch, Objective, UserError, one_of

Config = Any  # a ConfigDict, whose fields no type checker knows

RESIDENT_BYTES = 2**30  # data up to this size are kept on the device
PIPELINES = ("auto", "resident", "stream")
MATMUL_PRECISIONS = ("default", "high", "highest")


# (width of the latent space, name of a `pmap`'s axis or None) -> model and objective
MakeOwn = Callable[..., tuple[Model, Objective]]


class Experiment(NamedTuple):
    """A configuration, checked and built."""

    config: dict[str, Any]  # the operative configuration, as JSON holds it
    seed: int
    latent_dim: int
    dataset: Dataset
    everything: Dataset  # with the examples whose labels are not kept
    steps_per_epoch: int
    batch_size: int
    preprocess: Callable[[jax.Array, jax.Array], jax.Array]
    resident: bool  # the data path
    code_dim: int  # how many numbers a code has
    model: Model  # its latent space may be wider than `latent_dim`: `models.padding`
    objective: Objective
    make_own: MakeOwn
    metric_names: tuple[str, ...]  # of the objective
    tx: optax.GradientTransformationExtraArgs
    hparams: dict[str, jax.Array]
    plan: TrainPlan
    placement: Placement
    evaluation_batch_size: int
    importance_samples: int
    fitted_components: int  # of the density fitted to the codes; 0: none
    factors: FactorSource | None  # the data's, if they are known
    factor_points: int  # of each disentanglement score; 0: none
    regret_images: int  # of each kind, scored by likelihood regret; 0: none
    ppca_components: int
    anomalies: Split | None  # test images that the model should find unlikely
    annealed_images: int  # test images whose log p(x) is bounded by annealing; 0: none
    annealed_steps: int
    notes: tuple[str, ...]  # what the user should know before training


def build(
    config: Config,
    placement: Placement | None = None,
    *,
    dataset: Dataset | None = None,
    is_used: bool = False,
) -> Experiment:
    """Checks the configuration and builds what it names.

    Sets JAX's precision for the process, and loads the data.

    Args:
      config: is left as it is; the experiment's own says what "auto" stands for.
      placement: the devices; None chooses them by the configuration.
      dataset: the data, or examples that stand for them; None loads them.
      is_used: whether the model is used and not trained or evaluated: what matters to
        those only is not checked, and anomalies are not loaded.

    Raises:
      UserError: a value is not acceptable, or the data do not fit it.
    """
    check_numbers(operative(config))
    check_fields_are_read(operative(config))
    _set_numerics(config)
    data = load_dataset(config) if dataset is None else dataset
    config = config.copy_and_resolve_references()
    config.dataset.binarize, notes = settle_binarize(config, data)
    everything = for_model(data, config, is_used=is_used)
    dataset = keep_labels(everything, config.dataset.keep_labels)
    batch_size = config.dataset.batch_size
    visited = epoch_size(everything.train, len(config.dataset.keep_labels))
    if batch_size > visited and not is_used:
        raise UserError(
            f"dataset.batch_size={batch_size} is larger than the training data "
            f"({visited} images): set it to that at most"
        )
    one_of("runtime.parallel", config.runtime.parallel, MODES)
    if placement is None:
        placement = make_placement(
            config.runtime.parallel, config.runtime.num_devices, batch_size
        )
    dtype = PRECISIONS[config.precision]
    density_dtype = jnp.promote_types(dtype, jnp.float32)
    to_model = preprocess.make_preprocess(config.dataset.binarize, density_dtype)
    make_own = _own_maker(config, dataset)
    width = latent_width(operative(config))
    check_minibatch(config.objective, batch_size)
    check_fitted_density(
        config.model.posterior.name,
        config.evaluate.fitted_components,
        min(dataset.train.size, FITTED_CODES),
    )
    factors = anomalies = None
    if is_used:
        with contextlib.suppress(UserError):  # the data may be gone
            factors = sources.factor_source(
                config.dataset.name, config.runtime.data_dir
            )
    else:
        check_annealing(config, dataset.test.size)
        factors = sources.factor_source(config.dataset.name, config.runtime.data_dir)
        check_factors(config, factors)
        anomalies = load_anomalies(config, everything)
    hparams = traced_hparams(operative(config), everything)
    pipeline = one_of("runtime.pipeline", config.runtime.pipeline, PIPELINES)
    if pipeline == "auto":
        fits = everything.train.images.nbytes <= RESIDENT_BYTES
        pipeline = "resident" if fits else "stream"
    batch = _abstract_batch(dataset, batch_size, density_dtype)
    own = make_own(config.model.latent_dim)
    metric_names = _trace(make_own(width), own, batch, hparams)
    model, objective = make_own(width, placement.axis_name)
    return Experiment(
        config=operative(config),
        seed=config.seed,
        latent_dim=config.model.latent_dim,
        dataset=dataset,
        everything=everything,
        steps_per_epoch=max(1, visited // batch_size),
        batch_size=batch_size,
        preprocess=to_model,
        resident=pipeline == "resident",
        code_dim=own[0].posterior.code_dim,
        model=model,
        objective=objective,
        make_own=make_own,
        metric_names=metric_names,
        tx=build_optimizer(config, max(1, visited // batch_size)),
        hparams=hparams,
        plan=TrainPlan(
            **config.train,
            steps_per_call=config.runtime.steps_per_call,
            checkpoint_every=config.runtime.checkpoint_every,
        ),
        placement=placement,
        evaluation_batch_size=config.evaluate.batch_size,
        importance_samples=config.evaluate.importance_samples,
        fitted_components=config.evaluate.fitted_components,
        factors=factors,
        factor_points=config.evaluate.factor_points,
        regret_images=config.evaluate.regret_images,
        ppca_components=config.evaluate.ppca_components,
        anomalies=anomalies,
        annealed_images=config.evaluate.annealed_images,
        annealed_steps=config.evaluate.annealed_steps,
        notes=(*notes, *describe_lopsided(config.model)),
    )


def vary(experiment: Experiment, config: Config) -> Experiment:
    """Returns the experiment of another configuration that has the same
    `sharing.program_key`.

    Raises:
      UserError: a value is not acceptable.
    """
    check_numbers(operative(config))
    check_fields_are_read(operative(config))
    check_minibatch(config.objective, config.dataset.batch_size)
    check_factors(config, experiment.factors)
    config = config.copy_and_resolve_references()
    config.dataset.binarize = experiment.config["dataset"]["binarize"]
    varied = experiment._replace(
        config=operative(config),
        seed=config.seed,
        latent_dim=config.model.latent_dim,
        code_dim=experiment.make_own(config.model.latent_dim)[0].posterior.code_dim,
        hparams=traced_hparams(operative(config), experiment.everything),
    )
    if varied.config["dataset"] == experiment.config["dataset"]:
        return varied
    dataset = keep_labels(experiment.everything, config.dataset.keep_labels)
    check_annealing(config, dataset.test.size)
    return varied._replace(
        dataset=dataset,
        make_own=_own_maker(config, dataset),
        anomalies=load_anomalies(config, experiment.everything),
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


def _own_maker(config: Config, dataset: Dataset) -> MakeOwn:
    make_model = model_maker(config.model, dataset, PRECISIONS[config.precision])
    make_objective = objective_maker(config.objective, dataset)

    def make_own(
        latent_dim: int, axis_name: str | None = None
    ) -> tuple[Model, Objective]:
        own = make_model(latent_dim)
        return own, make_objective(own, axis_name)

    return make_own


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
    wide: tuple[Model, Objective],
    own: tuple[Model, Objective],
    batch: Batch,
    hparams: dict[str, jax.Array],
) -> tuple[str, ...]:
    """Returns the names of the objective's metrics.

    The loss is written down but not computed: an objective that the model does not
    give what it needs refuses here, before anything is trained.

    Raises:
      UserError: it refuses, and says what to change.
    """

    def metrics_of(batch: Batch):
        tx = optax.identity()
        state = create_train_state(0, batch, wide=wide, own=own, tx=tx, hparams=hparams)
        key = jax.random.key(0)
        return wide[1].loss(state.params, batch, key, hparams, state.step)[1]

    return tuple(jax.eval_shape(metrics_of, batch))


def _set_numerics(config: Config) -> None:
    one_of("precision", config.precision, tuple(PRECISIONS))
    precision = one_of("matmul_precision", config.matmul_precision, MATMUL_PRECISIONS)
    jax.config.update("jax_enable_x64", config.precision == "float64")
    jax.config.update("jax_default_matmul_precision", precision)

"""From configuration to built objects: the only reader of `ConfigDict`."""

import contextlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from vae.bind import Binding, as_json
from vae.compose import (
    bind_menus,
    make_likelihood,
    make_optimizer,
    model_maker,
    naming,
    objective_maker,
    offering,
)
from vae.data import preprocess, sources
from vae.data.load import (
    for_model,
    load_anomalies,
    load_dataset,
    settle_binarize,
)
from vae.data.splits import Dataset, keep_labels
from vae.experiment import Data, Experiment, MakeOwn, steps_per_epoch
from vae.identity import latent_width, traced_hparams
from vae.models.base import Model
from vae.registry import PRECISIONS
from vae.settings import (
    check_config,
    check_evaluations,
    describe_lopsided,
    describe_narrow,
)
from vae.training.parallel import Placement, make_placement
from vae.training.state import create_train_state
from vae.types import Batch, Objective, UserError

Config = Any  # a ConfigDict, whose fields no type checker knows


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
    bound = check_config(operative(config))
    _set_numerics(operative(config))
    everything = load_dataset(config) if dataset is None else dataset
    config = config.copy_and_resolve_references()
    config.dataset.binarize, notes = settle_binarize(config, everything)
    likelihood = make_likelihood(operative(config), bound, everything)
    everything = for_model(everything, config, likelihood, is_used=is_used)
    plain = operative(config)
    data = _load_others(config, everything, likelihood, is_used=is_used)
    if not is_used:
        _check_batch_size(plain, data.kept)
    if placement is None:
        runtime = config.runtime
        placement = make_placement(
            runtime.parallel, runtime.num_devices, config.dataset.batch_size
        )
    density_dtype = jnp.promote_types(PRECISIONS[config.precision], jnp.float32)
    make_own = _own_maker(plain, bound, data.kept)
    batch = _abstract_batch(data.kept, config.dataset.batch_size, density_dtype)
    metric_names = _trace(plain, make_own, data, batch)
    model, objective = make_own(latent_width(plain, bound), placement.axis_name)
    experiment = Experiment(
        config=plain,
        data=data,
        preprocess=preprocess.make_preprocess(config.dataset.binarize, density_dtype),
        model=model,
        objective=objective,
        make_own=make_own,
        metric_names=metric_names,
        tx=make_optimizer(plain, bound, steps_per_epoch(plain, everything)),
        hparams=traced_hparams(plain, bound, everything),
        placement=placement,
        notes=(
            *notes,
            *describe_lopsided(plain["model"]),
            *describe_narrow(plain["model"]),
        ),
    )
    if not is_used:
        check_evaluations(experiment.subject, plain["evaluate"])
    return experiment


def vary(experiment: Experiment, config: Config) -> Experiment:
    """Returns the experiment of another configuration that has the same
    `identity.program_key`.

    Raises:
      UserError: a value is not acceptable.
    """
    config = config.copy_and_resolve_references()
    config.dataset.binarize = experiment.config["dataset"]["binarize"]
    plain = operative(config)
    bound, data = check_config(plain), experiment.data
    varied = experiment._replace(
        config=plain, hparams=traced_hparams(plain, bound, data.everything)
    )
    if plain["dataset"] != experiment.config["dataset"]:
        likelihood = experiment.model.likelihood
        data = _load_others(config, data.everything, likelihood, is_used=False)
        _check_batch_size(plain, data.kept)
        make_own = _own_maker(plain, bound, data.kept)
        varied = varied._replace(data=data, make_own=make_own)
    check_evaluations(varied.subject, plain["evaluate"])
    return varied


def operative(config: Config) -> dict[str, Any]:
    """Returns the configuration as a plain tree that JSON gives back unchanged."""

    def tree(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: tree(item) for key, item in value.items()}
        return as_json(value)

    return tree(config.to_dict())


def from_operative(config: dict[str, Any]) -> Config:
    """The inverse of `operative`."""
    return ConfigDict(config)


def _load_others(
    config: Config, everything: Dataset, likelihood: Any, *, is_used: bool
) -> Data:
    """Returns the data with what belongs to them; of a model that is only used, what
    there still is."""
    factors = anomalies = None
    with contextlib.suppress(*[UserError] * is_used):
        place = config.runtime.data_dir
        factors = sources.factor_source(config.dataset.name, place)
    if not is_used:
        anomalies = load_anomalies(config, everything, likelihood)
    kept = keep_labels(everything, config.dataset.keep_labels)
    return Data(everything, kept, factors, anomalies)


def _check_batch_size(config: dict[str, Any], dataset: Dataset) -> None:
    size, most = config["dataset"]["batch_size"], dataset.train.size
    if size > most:
        kept = config["dataset"]["keep_labels"]
        which = f" of dataset.keep_labels={tuple(kept)}" if kept else ""
        raise UserError(
            f"dataset.batch_size={size} is larger than the training data ({most} "
            f"examples{which}): set it to that at most"
        )


def _own_maker(
    config: dict[str, Any], bound: Mapping[str, Binding], dataset: Dataset
) -> MakeOwn:
    make_model = model_maker(config, bound, dataset)
    make_objective = objective_maker(bound, dataset.train.size)

    def make_own(
        latent_dim: int, axis_name: str | None = None
    ) -> tuple[Model, Objective]:
        own = make_model(latent_dim, axis_name)
        return own, make_objective(own, axis_name)

    return make_own


def _abstract_batch(dataset: Dataset, batch_size: int, dtype: Any) -> Batch:
    """Describes a batch, without its numbers."""

    def array(shape: tuple[int, ...], dtype: Any) -> Any:
        return jax.ShapeDtypeStruct((batch_size, *shape), dtype)

    labels = dataset.train.labels
    return Batch(
        x=array(dataset.event_shape, dtype),
        label=None if labels is None else array((), labels.dtype),
        position=array((), jnp.int32),
    )


def _trace(
    config: dict[str, Any],
    make_own: MakeOwn,
    data: Data,
    batch: Batch,
) -> tuple[str, ...]:
    """Returns the names of the objective's metrics.

    The loss is traced and not computed: a part that another does not give what it needs
    refuses here, before anything is trained.

    Raises:
      UserError: says which part, why, and what would work in its place.
    """

    def metrics_of(config: dict[str, Any], make_own: MakeOwn | None = None) -> Any:
        bound = bind_menus(config)
        make_own = make_own or _own_maker(config, bound, data.kept)
        own = make_own(config["model"]["latent_dim"])
        wide = make_own(latent_width(config, bound))
        numbers = traced_hparams(config, bound, data.everything)

        def trace(batch: Batch) -> Any:
            tx = optax.identity()
            with naming(config, "model.prior"):
                state = create_train_state(
                    0, batch, wide=wide, own=own, tx=tx, hparams=numbers
                )
            with naming(config, "objective"):
                key = jax.random.key(0)
                return wide[1].loss(state.params, batch, key, numbers, state.step)[1]

        return jax.eval_shape(trace, batch)

    with offering(config, metrics_of):
        return tuple(metrics_of(config, make_own))


def _set_numerics(config: dict[str, Any]) -> None:
    jax.config.update("jax_enable_x64", config["precision"] == "float64")
    jax.config.update("jax_default_matmul_precision", config["matmul_precision"])

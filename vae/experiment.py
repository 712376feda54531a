"""What a configuration becomes once it is checked and built."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from vae.data.factors import FactorSource
from vae.data.preprocess import Preprocess, with_flips
from vae.data.splits import Dataset, Split, epoch_size
from vae.evaluation.base import Subject
from vae.models.base import Model
from vae.settings import plan_of
from vae.training.loop import TrainPlan
from vae.training.parallel import Placement
from vae.types import Objective

# (width of the latent space, name of a `pmap`'s axis or None) -> model and objective
MakeOwn = Callable[..., tuple[Model, Objective]]
RESIDENT_BYTES = 2**30  # data up to this size are kept on the device


class Data(NamedTuple):
    """What a run is trained and evaluated on."""

    everything: Dataset  # with the examples whose labels are not kept
    kept: Dataset
    factors: FactorSource | None  # if they are known
    anomalies: Split | None  # test images that the model should find unlikely


class Experiment(NamedTuple):
    """A configuration, checked and built."""

    config: dict[str, Any]  # the operative configuration, as JSON holds it
    data: Data
    preprocess: Preprocess
    model: Model  # its latent space may be wider than `latent_dim`: `models.padding`
    objective: Objective
    make_own: MakeOwn
    metric_names: tuple[str, ...]  # of the objective
    tx: optax.GradientTransformationExtraArgs
    hparams: dict[str, jax.Array]
    placement: Placement
    notes: tuple[str, ...]  # what the user should know before training

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def latent_dim(self) -> int:
        return self.config["model"]["latent_dim"]

    @property
    def group_dims(self) -> tuple[int, ...]:
        """The latent dimensions of each group of codes; positions of discrete ones."""
        sizes = self.model.group_sizes
        return sizes if len(sizes) > 1 else (self.latent_dim,)

    @property
    def augmented(self) -> Preprocess:
        """`preprocess` for training, which alone augments images."""
        return with_flips(self.preprocess, self.config["dataset"]["flip"])

    @property
    def batch_size(self) -> int:
        return self.config["dataset"]["batch_size"]

    @property
    def skip_norm(self) -> float:
        """The norm of a gradient above which its update is skipped; 0: none is."""
        return self.config["optimizer"]["skip_norm"]

    @property
    def dataset(self) -> Dataset:
        return self.data.kept

    @property
    def subject(self) -> Subject:
        """What evaluations are given of an experiment."""
        own, _ = self.make_own(self.latent_dim)
        return Subject(
            model=self.model,
            preprocess=self.preprocess,
            dataset=self.data.kept,
            factors=self.data.factors,
            anomalies=self.data.anomalies,
            latent_dim=self.latent_dim,
            code_dim=own.code_dim,
            binarize=self.config["dataset"]["binarize"],
            keep_labels=tuple(self.config["dataset"]["keep_labels"]),
        )

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(self.config, self.data.everything)

    @property
    def plan(self) -> TrainPlan:
        return plan_of(self.config)

    @property
    def resident(self) -> bool:
        """Whether the training data are kept on the device."""
        pipeline = self.config["runtime"]["pipeline"]
        fits = self.data.everything.train.images.nbytes <= RESIDENT_BYTES
        return fits if pipeline == "auto" else pipeline == "resident"


def steps_per_epoch(config: dict[str, Any], everything: Dataset) -> int:
    """Returns how many batches an epoch has, at least one; see `epoch_size`."""
    visited = epoch_size(everything.train, len({*config["dataset"]["keep_labels"]}))
    return max(1, visited // config["dataset"]["batch_size"])

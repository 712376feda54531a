"""A trained model as the latent tools see it: functions of arrays, and real images."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.figures import Display, display_of
from experiments.program import own_model
from vae import rng
from vae.build import Experiment
from vae.data import factors
from vae.data.preprocess import to_unit
from vae.data.splits import Split, evenly_spaced
from vae.distributions.transformed import TransformedDistribution
from vae.evaluation.ais import draw_prior
from vae.evaluation.base import map_batches
from vae.evaluation.fitted_density import make_draw
from vae.evaluation.latent import MOST_DIMENSIONS
from vae.latents.aggregate import infer_stored
from vae.models.base import REALS
from vae.models.priors import ConditionalGaussian
from vae.training.state import TrainState
from vae.types import Array, UserError, is_image

MOST_TRAIN, MOST_TEST = 10_000, 5_000
MOST_PIXELS = 50_000_000  # of the images of a split
BATCH = 500


class Examples(NamedTuple):
    """Real images, and what the model makes of them."""

    stored: Split
    # [N, H, W, C] or [N, D], not binarised anew; in [0, 1] if stored as bytes.
    pixels: np.ndarray
    labels: np.ndarray | None  # int [N]
    factors: np.ndarray | None  # int [N, F], if the data set's are known
    # [N, D]; posterior means if the posterior has one; of several groups, samples
    codes: np.ndarray


class Subject(NamedTuple):
    """A trained model, not padded. A conditional one needs labels wherever they are
    taken, others ignore them.

    Codes of several groups are those of `Joint.to_noise`: the standardised place of
    each group in its prior given the groups above. So they can be moved one by one, and
    are standard normal under the prior if that of the highest group is Gaussian.
    """

    experiment: Experiment
    seed: int
    train: Examples
    test: Examples
    # Pure, (z [N, D], labels [N] or None) -> means of p(x | z) [N, H, W, C].
    decode_now: Callable[..., jax.Array]
    # (z [N, D], labels [N] or None) -> the same in float32, compiled once for all N.
    decode: Callable[..., np.ndarray]
    # labels [N] -> codes [N, D] of the prior.
    draw: Callable[..., np.ndarray]
    # () -> a code [N, D] of each training example, drawn from its posterior.
    sample_train: Callable[[], np.ndarray]
    # labels [N] -> mean and standard deviation [N, D] of the prior p(z | y); None if it
    # is the same for all labels.
    prior_moments: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None
    display: Display = Display()  # of all images
    label_names: tuple[str, ...] = ()  # of the data; (): labels have none

    @property
    def has_images(self) -> bool:
        """Whether the data are images, and not vectors."""
        return is_image(self.test.pixels.shape[1:])

    @property
    def is_standard_normal(self) -> bool:
        """Whether the prior of codes is the standard normal."""
        model = self.experiment.model
        if len(self.experiment.group_dims) == 1:
            return model.prior_factorises
        return model.prior.factorises or isinstance(model.prior, ConditionalGaussian)

    @property
    def dimensions(self) -> str:
        """The latent dimensions, or how many each group has, the lowest first."""
        return " + ".join(f"{size:,}" for size in self.experiment.group_dims)

    def name_dimension(self, dimension: int) -> str:
        """Returns its number, and that of its group where there are several."""
        ends = np.cumsum(self.experiment.group_dims)
        if len(ends) == 1:
            return str(dimension)
        group = int(np.searchsorted(ends, dimension, side="right")) + 1
        return f"{dimension} (group {group})"

    @property
    def has_large_codes(self) -> bool:
        """Whether codes have too many dimensions to be looked at one by one."""
        return sum(self.experiment.group_dims) > MOST_DIMENSIONS

    def name_value(self, attribute: str, value: int) -> str:
        """Returns a value of an attribute for people: "slant 1", "label 3", or "label
        cat" where labels have names."""
        text = self.name_label(value) if attribute == "label" else str(value)
        return f"{attribute} {text}"

    def name_label(self, label: int) -> str:
        """Returns a label's name, or its number where labels have no names."""
        return self.label_names[label] if self.label_names else str(label)

    @property
    def is_conditional(self) -> bool:
        return self.experiment.model.num_labels is not None

    def styles(self, examples: Examples) -> np.ndarray:
        """Returns what the codes [N, D] of examples say besides their labels: where
        each label has a prior of its own, the standardised place in that. The codes
        themselves then hold the label, and a decoder that is given another barely
        heeds it."""
        if self.prior_moments is None:
            return examples.codes
        mean, scale = self.prior_moments(examples.labels)
        return (examples.codes - mean) / scale

    def decode_styles(self, styles: Array, label: Array | None = None) -> np.ndarray:
        """Returns the mean images [N, H, W, C] of styles [N, D]; a conditional model
        needs labels [N]."""
        if self.prior_moments is None:
            return self.decode(styles, label)
        mean, scale = self.prior_moments(label)
        return self.decode(mean + scale * styles, label)

    def spread_labels(self, count: int) -> np.ndarray:
        """Returns labels [count] as frequent as among the test images; zeros without
        labels."""
        if self.test.labels is None:
            return np.zeros(count, np.int32)
        return np.sort(self.test.labels)[evenly_spaced(len(self.test.labels), count)]


def make_subject(experiment: Experiment, state: TrainState) -> Subject:
    """Encodes the images that the tools are tried on.

    Raises:
      UserError: the codes are discrete, or on the sphere, where no tool moves them.
    """
    if experiment.model.space != REALS:
        raise UserError(
            "--experiment=latents moves codes in the reals, but those of this model "
            f"are on {experiment.model.space}"
        )
    model, variables = own_model(experiment, state)
    preprocess, seed = experiment.preprocess, experiment.seed
    has_groups = len(model.group_sizes) > 1

    def prior_of(labels: Array | None) -> Any:
        given = None if model.num_labels is None else jnp.asarray(labels)
        return model.apply(variables, given, method="prior_of")

    @jax.jit
    def encode(stored: Split, places: jax.Array) -> jax.Array:
        key = rng.stream(seed, "latents")
        _, inference = infer_stored(model, variables, preprocess, stored, places, key)
        if has_groups:
            return prior_of(stored.labels).to_noise(inference.codes)[0]
        (group,) = inference.groups
        has_mean = not isinstance(group.posterior, TransformedDistribution)
        return group.posterior.mean if has_mean else group.z[0]

    def decode_now(z: Array, labels: Array | None = None) -> jax.Array:
        z = prior_of(labels).from_noise(z) if has_groups else z
        return model.apply(variables, z, label=labels, method="decode").mean

    compiled = jax.jit(decode_now)

    def decode(z: Array, labels: Array | None = None) -> np.ndarray:
        given, everything = Split(np.asarray(z, np.float32), labels), np.arange(len(z))
        images = map_batches(lambda places: compiled(*given[places]), everything, BATCH)
        return images.astype(np.float32)

    def to_noise(z: jax.Array, labels: Array | None) -> jax.Array:
        return prior_of(labels).to_noise(z) if has_groups else z

    @jax.jit
    def draw_some(keys: jax.Array, labels: jax.Array) -> jax.Array:
        given = None if model.num_labels is None else labels
        z = draw_prior(model, variables, given, keys[None])[0]
        return to_noise(z, labels)

    def draw(labels: np.ndarray) -> np.ndarray:
        places = np.arange(len(labels))
        keys = rng.per_example(rng.stream(seed, "samples"), jnp.asarray(places))
        return map_batches(
            lambda some: draw_some(keys[some], labels[some]), places, BATCH
        )

    train, test = (
        _examples(experiment, split, most, encode)
        for split, most in (
            (experiment.dataset.train, MOST_TRAIN),
            (experiment.dataset.test, MOST_TEST),
        )
    )

    def sample_train() -> np.ndarray:
        draw = make_draw(model, preprocess, "train_codes")

        @jax.jit
        def draw_some(stored: Split, places: jax.Array) -> jax.Array:
            return to_noise(draw(variables, seed, stored, places), stored.labels)

        return map_batches(
            lambda places: draw_some(train.stored[places], places),
            np.arange(train.stored.size),
            BATCH,
        )

    is_shifted = model.prior.is_conditional and not has_groups

    def prior_moments(labels: Array) -> tuple[np.ndarray, np.ndarray]:
        prior = model.apply(variables, jnp.asarray(labels), method="prior_of")
        return np.asarray(prior.mean), np.sqrt(prior.variance)

    return Subject(
        experiment=experiment,
        seed=seed,
        train=train,
        test=test,
        decode_now=decode_now,
        decode=decode,
        draw=draw,
        sample_train=sample_train,
        prior_moments=prior_moments if is_shifted else None,
        display=display_of(experiment.dataset),
        label_names=experiment.dataset.label_names,
    )


def _examples(
    experiment: Experiment, split: Split, most: int, encode: Callable[..., jax.Array]
) -> Examples:
    """Encodes at most so many images, evenly spaced; of data with known factors, images
    of random ones, if the model is of images of all factors as they are stored."""
    pixels = int(np.prod(experiment.dataset.event_shape))
    pixels = max(pixels, sum(experiment.group_dims))
    count = min(most, split.size, max(1, MOST_PIXELS // pixels))
    source, values = experiment.data.factors, None
    dataset = experiment.config["dataset"]
    is_stored = dataset["binarize"] in ("none", "dynamic")
    is_of_all = not dataset["keep_labels"] and experiment.model.num_labels is None
    if source is None or not (is_stored and is_of_all):
        stored = split[evenly_spaced(split.size, count)]
    else:
        random = np.random.default_rng((experiment.seed, most))
        values = factors.sample(source, random, count)
        stored = Split(source.stored(values), None)
    everything = np.arange(stored.size)
    codes = map_batches(
        lambda places: encode(stored[places], places), everything, BATCH
    )
    return Examples(
        stored=stored,
        pixels=to_unit(stored.images).astype(np.float32),
        labels=stored.labels,
        factors=values,
        codes=codes.astype(np.float32),
    )

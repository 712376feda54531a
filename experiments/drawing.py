"""Pictures and files of a run, beside its results."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import columns, figures, plots
from experiments.agreement import CODES_FILE
from experiments.figures import COLUMNS, ROWS
from vae import rng
from vae.data.columns import value_names
from vae.data.splits import Split, evenly_spaced
from vae.evaluation.anomaly import KINDS, PRIMARY, make_look
from vae.evaluation.base import Trained
from vae.evaluation.disentanglement.evaluation import posterior_means
from vae.evaluation.fitted_density import SAMPLES
from vae.latents.aggregate import infer_stored
from vae.latents.groups import most_used
from vae.models.base import Model
from vae.models.priors import StandardNormal
from vae.types import Params, is_image

TRAVERSED = 4  # test images whose codes are traversed
MOST_VECTORS, MOST_VALUES = 2_000, 10_000_000  # whose columns are compared
WORST = 2 * COLUMNS  # images of each kind that are judged worst

Arrays = Mapping[str, np.ndarray]


def draw(trained: Trained, folder: Path) -> None:
    """Writes `samples.png`, the mean image of each of 128 codes from the prior;
    `reconstructions.png`, test images, each above the mean image of one code drawn from
    its posterior; and traversals, if the factors of the data are known.

    A conditional model's labels go from left to right. For vectors, writes
    `columns.csv` and `columns.png` instead: see `experiments.columns`.
    """
    folder.mkdir(exist_ok=True)
    if _draws_vectors(trained):
        _draw_columns(trained, folder)
        return
    subject, key = trained.subject, rng.stream(int(trained.seed), "samples")
    samples = trained.compiled(_make_generate)(trained.variables, key, _labels(trained))
    _save(trained, folder / "samples.png", samples)
    test, key = subject.dataset.test, rng.stream(int(trained.seed), "figures")
    stored = test[evenly_spaced(test.size, min(test.size, COLUMNS * ROWS // 2))]
    pairs = trained.compiled(_make_reconstruct)(trained.variables, key, stored)
    rows = []
    for start in range(0, stored.size, COLUMNS):
        for images in pairs:
            row = np.asarray(images[start : start + COLUMNS], np.float32)
            padding = [(0, COLUMNS - len(row)), (0, 0), (0, 0), (0, 0)]
            rows.append(np.pad(row, padding, constant_values=np.nan))
    _save(trained, folder / "reconstructions.png", np.concatenate(rows))
    # A quantile of the standard normal is one of each dimension.
    is_normal = isinstance(subject.model.prior, StandardNormal)
    if subject.factors is not None and is_normal and subject.model.encodes_to_means:
        decode = trained.compiled(_make_decode)
        figures.draw_traversals(
            lambda z: decode(trained.variables, z),
            *posterior_means(trained, TRAVERSED),
            most_used(
                trained.results["latent/kl_per_dim"],
                subject.model.group_sizes,
                figures.TRAVERSED,
            ),
            figures.display_of(subject.dataset),
            folder,
        )


def _draws_vectors(trained: Trained) -> bool:
    return not is_image(trained.subject.dataset.event_shape)


def _draw_columns(trained: Trained, folder: Path) -> None:
    """Compares test vectors with as many samples and with their reconstructions."""
    test, seed = trained.subject.dataset.test, int(trained.seed)
    size = int(np.prod(trained.subject.dataset.event_shape))
    count = min(test.size, MOST_VECTORS, max(1, MOST_VALUES // size))
    stored = test[evenly_spaced(test.size, count)]
    # Labels as frequent as among the data.
    given = np.zeros(count, np.int32) if stored.labels is None else stored.labels
    draw = trained.compiled(_make_sample)
    samples = draw(trained.variables, rng.stream(seed, "samples"), given)
    reconstruct, key = trained.compiled(_make_reconstruct), rng.stream(seed, "figures")
    x, means = reconstruct(trained.variables, key, stored)
    scaling = trained.subject.dataset.scaling
    data, sampled, decoded = (
        np.asarray(a if scaling is None else scaling.invert(a), np.float64)
        for a in (x, samples, means)
    )
    names = value_names(trained.subject.dataset.columns, size)
    columns.save(data, sampled, decoded, folder, names)


def _save_fitted(trained: Trained, arrays: Arrays, folder: Path) -> None:
    """Writes `samples_fitted.png`: mean images of codes of the fitted density."""
    if _draws_vectors(trained):
        return
    decode = trained.compiled_own(_make_decode)
    given = trained.own_variables, arrays["fitted_codes"], _labels(trained)
    _save(trained, folder / "images" / "samples_fitted.png", decode(*given))


def _save_codes(trained: Trained, arrays: Arrays, folder: Path) -> None:
    del trained
    np.save(folder / CODES_FILE, arrays["codes"])


def _save_anomalies(trained: Trained, arrays: Arrays, folder: Path) -> None:
    """Writes the scores; their histogram; `anomaly_false_alarms.png`, the test images
    that look most like anomalies; and `anomaly_missed.png`, the anomalies that look
    most normal."""
    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(folder / "anomaly_scores.npz", **named)
    primary = [arrays[f"{kind}/{PRIMARY}"] for kind in KINDS]
    path, label = folder / "images" / "anomaly_scores.png", f"{PRIMARY} (nats)"
    plots.save_histogram(path, *primary, label=label)
    if _draws_vectors(trained):
        return
    normal, anomalies = trained.subject.dataset.test, trained.subject.anomalies
    for name, split, order in (
        ("false_alarms", normal, -primary[0]),
        ("missed", anomalies, primary[1]),
    ):
        assert isinstance(split, Split), "it was scored"
        worst = np.argsort(order)[:WORST].astype(np.int32)
        x, _ = trained.compiled(make_look)(trained.seed, split[worst], worst)
        _save(trained, folder / "images" / f"anomaly_{name}.png", x)


# What becomes of the arrays that an evaluation finds.
SAVE: dict[str, Callable[[Trained, Arrays, Path], None]] = {
    "anomalies": _save_anomalies,
    "fitted_density": _save_fitted,
    "disentanglement": _save_codes,
}


def _save(trained: Trained, path: Path, images: Any) -> None:
    display = figures.display_of(trained.subject.dataset)
    figures.save_grid(path, np.asarray(images, np.float32), display)


def _labels(trained: Trained) -> np.ndarray:
    """A conditional model's labels, from left to right in each row."""
    if trained.subject.model.num_labels is None:
        return np.zeros(SAMPLES, np.int32)
    labels = np.unique(trained.subject.dataset.train.labels)
    return labels[np.arange(SAMPLES) % COLUMNS % len(labels)]


def _make_generate(model: Model, preprocess: Any) -> Callable[..., jax.Array]:
    """Returns (variables, key, labels [N]) -> means of p(x | z)."""
    del preprocess

    def generate(variables: Params, key: jax.Array, labels: jax.Array) -> jax.Array:
        count = len(labels)
        return model.apply(variables, key, count, label=labels, method="generate").mean

    return generate


def _make_sample(model: Model, preprocess: Any) -> Callable[..., jax.Array]:
    """Returns (variables, key, labels [N]) -> samples of p(x)."""
    del preprocess

    def sample(variables: Params, key: jax.Array, labels: jax.Array) -> jax.Array:
        of_code, of_event = rng.named(key, "code"), rng.named(key, "event")
        count = len(labels)
        generate: Any = model.apply
        given = variables, of_code, count
        return generate(*given, label=labels, method="generate").sample(of_event)

    return sample


def _make_reconstruct(model: Model, preprocess: Any) -> Callable[..., Any]:
    """Returns (variables, key, stored images) -> x, means of p(x | z) of one z."""

    def reconstruct(variables: Params, key: jax.Array, stored: Split):
        places = jnp.arange(stored.size)
        x, inference = infer_stored(model, variables, preprocess, stored, places, key)
        return x, inference.likelihood.mean[0]

    return reconstruct


def _make_decode(model: Model, preprocess: Any) -> Callable[..., jax.Array]:
    """Returns (variables, z [N, D], labels [N] or None) -> means of p(x | z)."""
    del preprocess

    def decode(variables: Params, z: jax.Array, labels: Any = None) -> jax.Array:
        z = jnp.pad(z, ((0, 0), (0, model.code_dim - z.shape[-1])))
        return model.apply(variables, z, label=labels, method="decode").mean

    return decode

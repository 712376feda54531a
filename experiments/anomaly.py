"""Anomalies: scores of images by a run's model, and how well they tell them."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import plots
from experiments.figures import COLUMNS, Display, display_of, save_grid
from experiments.program import Program
from experiments.views import ANOMALY
from vae.build import Experiment
from vae.data.png import png_lengths
from vae.data.splits import Split, evenly_spaced
from vae.evaluation.anomaly import fit_ppca, scores_of_bounds
from vae.evaluation.detection import detect
from vae.evaluation.evaluate import bounds_of_split
from vae.training.state import TrainState
from vae.types import Request

PRIMARY = "neg_elbo"  # the score that verdicts and pictures go by
TYPICAL = 1_000  # training images by which typical scores are known
PPCA_PIXELS = 50_000_000  # of all training images that the baseline is fitted to
REGRETS = 20  # images whose encoders are trained at once
SHOWN = 2 * COLUMNS  # images of each kind that are judged worst
WORST = "false_alarms", "missed"

Scores = dict[str, np.ndarray]  # [N] each; nan where a score was not asked for
Scoring = Generator[Request, Any, list[Scores]]


def score_splits(
    experiment: Experiment, program: Program, state: TrainState, splits: Sequence[Split]
) -> Scoring:
    """Returns the scores of each split's images; nothing but on the first host."""
    train = experiment.dataset.train
    some = train[evenly_spaced(train.size, min(TYPICAL, train.size))]
    bounds = []
    for split in (some, *splits):
        bounds.append(
            (
                yield from bounds_of_split(
                    program.evaluate(ANOMALY, experiment.importance_samples),
                    (state.variables, state.seed),
                    split,
                    name=ANOMALY,
                    batch_size=experiment.evaluation_batch_size,
                    by_example=experiment.placement.by_example,
                )
            )
        )
    if jax.process_index() != 0:
        return []
    state = jax.device_get(state)
    typical_bound = float(np.mean(bounds[0].log_likelihood))
    pixels = int(np.prod(train.images.shape[1:]))
    fitted = train[evenly_spaced(train.size, min(train.size, PPCA_PIXELS // pixels))]
    ppca = fit_ppca(np.asarray(fitted.images), experiment.ppca_components)
    return [
        scores_of_bounds(
            of_split,
            typical_bound=typical_bound,
            code_lengths=_code_lengths(
                program, state, split, display_of(experiment.dataset)
            ),
        )
        | {"ppca": ppca(np.asarray(split.images))}
        | _regrets(experiment, program, state, split)
        for split, of_split in zip(splits, bounds[1:], strict=True)
    ]


def _code_lengths(
    program: Program, state: TrainState, split: Split, display: Display
) -> np.ndarray:
    """Returns how many nats images take as PNG, as the model sees them, with pixels
    scaled as they are shown."""
    lengths = []
    for stored, places, count in split.padded_batches(1_000):
        x, _ = program.views.look(state.seed, stored, places)
        lengths.append(png_lengths(display(np.asarray(x, np.float32)[:count])))
    return np.concatenate(lengths)


def _regrets(
    experiment: Experiment, program: Program, state: TrainState, split: Split
) -> Scores:
    """Returns the likelihood regret of as many images as are asked for."""
    if not experiment.regret_images:
        return {}
    regrets = np.full(split.size, np.nan)
    count = min(experiment.regret_images, split.size)
    chosen = evenly_spaced(split.size, count)
    for start in range(0, count, REGRETS):
        places = np.resize(chosen[start : start + REGRETS], REGRETS).astype(np.int32)
        regrets[places] = program.views.regret(
            state.variables, state.seed, split[places], places
        )
    return {"regret": regrets}


def measure_detection(
    experiment: Experiment, program: Program, state: TrainState, folder: Path
) -> Generator[Request, Any, dict[str, Any]]:
    """Returns `anomaly/SCORE_auroc`, `_auprc` and `_fpr95`, of the run's test images
    and `evaluate.anomalies`; writes the scores and draws them."""
    normal, anomalies = experiment.dataset.test, experiment.anomalies
    assert anomalies is not None, "asked for by the configuration"
    splits = normal, anomalies
    scores = yield from score_splits(experiment, program, state, splits)
    if not scores:
        return {}
    state = jax.device_get(state)
    arrays: dict[str, Any] = {
        f"{kind}/{name}": values
        for kind, of_kind in zip(("normal", "anomalous"), scores, strict=True)
        for name, values in of_kind.items()
    }
    np.savez_compressed(folder / "anomaly_scores.npz", **arrays)
    images = folder / "images"
    images.mkdir(exist_ok=True)
    primary = [of_split[PRIMARY] for of_split in scores]
    plots.save_histogram(
        images / "anomaly_scores.png", *primary, label=f"{PRIMARY} (nats)"
    )
    display = display_of(experiment.dataset)
    _draw_worst(program, state, splits, primary, display, images)
    results: dict[str, Any] = {"anomalies": experiment.config["evaluate"]["anomalies"]}
    for name in scores[0]:
        values = [of_split[name] for of_split in scores]
        found = detect(*(v[~np.isnan(v)] for v in values))
        for measure, value in found._asdict().items():
            results[f"anomaly/{name}_{measure}"] = value
    return results


def _draw_worst(
    program: Program,
    state: TrainState,
    splits: tuple[Split, Split],
    scores: Sequence[np.ndarray],
    display: Display,
    folder: Path,
) -> None:
    """Writes `anomaly_false_alarms.png`, the test images that look most like anomalies,
    and `anomaly_missed.png`, the anomalies that look most normal."""
    orders = -scores[0], scores[1]
    for name, split, order in zip(WORST, splits, orders, strict=True):
        worst = np.argsort(order)[:SHOWN].astype(np.int32)
        x, _ = program.views.look(state.seed, split[worst], worst)
        path = folder / f"anomaly_{name}.png"
        save_grid(path, np.asarray(x, np.float32), display)

"""Scores by which a trained model tells anomalies; all are higher for anomalies.

In nats, of an image x:
  neg_elbo: -ELBO.
  neg_bound: minus the importance-weighted bound.
  reconstruction: -log E_q p(x | z), of An & Cho's reconstruction probability.
  distortion: -E_q log p(x | z).
  rate: KL(q(z | x) || p(z)).
  atypicality: how far `neg_bound` is from its mean over training images.
  complexity_ratio: `neg_bound` less the length of x as PNG; of images only.
  regret: likelihood regret, see `regret.py`.
  llr_above_k: of models with several groups, LLR^{>k} for k = 1..L-1, see `llr.py`.
  ppca: -log p(x) under probabilistic PCA of the training images, scaled to [0, 1];
    not where values may be missing.
  knn, isolation_forest, one_class_svm, lof: those of scikit-learn, see `baselines.py`.

A score that overflows is infinite: the example is as far as can be from the data.

References:
  An & Cho 2015, SNU Data Mining Center technical report 2015-2, algorithm 4; Nalisnick
  et al. 2019, arXiv 1906.02994, eq. 5, for a single image; Serra et al. 2020,
  arXiv 1909.11480, eq. 2; Tipping & Bishop 1999, probabilistic PCA.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jax
import numpy as np

from vae.data.png import png_lengths
from vae.data.splits import Split, evenly_spaced
from vae.evaluation.base import (
    Preprocess,
    Subject,
    Trained,
    look_at,
    map_batches,
)
from vae.evaluation.baselines import Scores, score_by_others
from vae.evaluation.bounds import ImageBounds
from vae.evaluation.detection import detect
from vae.evaluation.llr import make_bounds_above
from vae.evaluation.regret import NEEDS_OWN_PRIOR, make_likelihood_regret
from vae.fields import Count, Field, Natural
from vae.models.base import Model
from vae.types import Params, is_image

PRIMARY = "neg_elbo"  # the score that verdicts and pictures go by
NOISE = "anomaly"  # names the noise of images that are scored
TYPICAL = 1_000  # training images by which typical scores are known
PPCA_PIXELS = 50_000_000  # of all training images that the baseline is fitted to
REGRETS = 20  # images whose encoders are trained at once
KINDS = "normal", "anomalous"


def run(
    trained: Trained,
    *,
    source: Annotated[str, Field()] = "",
    regret_images: Natural = 0,
    ppca_components: Count = 32,
    baselines: Annotated[bool, Field()] = False,
) -> dict[str, Any]:
    """Compares the scores of test images with those of anomalies.

    Returns:
      `anomalies`, their source, `anomaly/SCORE_auroc`, `_auprc` and `_fpr95`; the
      numbers that were asked for, `anomaly/regret_images` and `_ppca_components`; and
      the scores, `normal/SCORE` and `anomalous/SCORE` [N].
    """
    anomalies = trained.subject.anomalies
    assert anomalies is not None, "there is a source"
    splits = trained.subject.dataset.test, anomalies
    scores = score_splits(
        trained, splits, regret_images, ppca_components, baselines=baselines
    )
    results: dict[str, Any] = {
        "anomalies": source,
        "anomaly/regret_images": regret_images,
        "anomaly/ppca_components": ppca_components,
    }
    for name in scores[0] if scores else ():
        both = [of_split[name] for of_split in scores]  # nan: without a regret
        found = detect(*(values[~np.isnan(values)] for values in both))
        for measure, value in found._asdict().items():
            results[f"anomaly/{name}_{measure}"] = value
        for kind, values in zip(KINDS, both, strict=True):
            results[f"{kind}/{name}"] = values
    return results


def applies(subject: Subject, *, regret_images: int, **_: Any) -> str | None:
    if regret_images and subject.model.prior.shares_inference:
        return f"{NEEDS_OWN_PRIOR}; set evaluate.anomalies.regret_images=0"
    return None


def score_splits(
    trained: Trained,
    splits: Sequence[Split],
    regret_images: int,
    ppca_components: int,
    *,
    baselines: bool = False,
) -> list[Scores]:
    """Returns the `Scores` of each split's images; nothing but on the first host."""
    train, num_samples = trained.subject.dataset.train, trained.importance_samples
    some = train[evenly_spaced(train.size, min(TYPICAL, train.size))]
    bounds = [
        trained.bounds(split, NOISE, num_samples, trained.on_batch)
        for split in (some, *splits)
    ]
    if jax.process_index() != 0:
        return []
    trained = trained.on_one_device()
    has_png = is_image(train.images.shape[1:])
    pixels = int(np.prod(train.images.shape[1:]))
    fitted = train[evenly_spaced(train.size, min(train.size, PPCA_PIXELS // pixels))]
    others: list[Scores] = [{} for _ in splits]
    if not trained.subject.model.observed_only:  # they need every value
        others = score_by_others(
            np.asarray(fitted.images),
            [np.asarray(split.images) for split in splits],
            ppca_components,
            baselines=baselines,
        )
    typical = np.asarray(bounds[0].log_likelihood, np.float64)
    return [
        _without_nan(
            scores_of_bounds(
                of_split,
                typical_bound=float(typical[np.isfinite(typical)].mean()),
                code_lengths=_code_lengths(trained, split) if has_png else None,
            )
            | of_others
            | _ratios(trained, split, of_split)
        )
        | _regrets(trained, split, regret_images)
        for split, of_split, of_others in zip(splits, bounds[1:], others, strict=True)
    ]


def _without_nan(scores: Scores) -> Scores:
    """Makes scores that overflowed infinite."""
    return {name: np.where(np.isnan(v), np.inf, v) for name, v in scores.items()}


def _code_lengths(trained: Trained, split: Split) -> np.ndarray:
    """Returns how many nats images [N] take as PNG, as the model sees them, with pixels
    scaled as they are shown."""
    look = trained.compiled(make_look)

    def lengths(places: np.ndarray) -> np.ndarray:
        x, _ = look(trained.seed, split[places], places)
        return png_lengths(trained.display(np.asarray(x, np.float32)))

    return map_batches(lengths, np.arange(split.size), 1_000, trained.on_batch)


def _regrets(trained: Trained, split: Split, count: int) -> Scores:
    """Returns the likelihood regret of at most `count` images evenly spaced, nan of the
    others."""
    if not count:
        return {}
    compute = trained.compiled(make_regret, trained.importance_samples)

    def regret(places: np.ndarray) -> jax.Array:
        return compute(trained.variables, trained.seed, split[places], places)

    regrets = np.full(split.size, np.nan)
    chosen = evenly_spaced(split.size, min(count, split.size))
    found = map_batches(regret, chosen, REGRETS, trained.on_batch)
    regrets[chosen] = np.where(np.isnan(found), np.inf, found)
    return {"regret": regrets}


def _ratios(trained: Trained, split: Split, bounds: ImageBounds) -> Scores:
    """Returns LLR^{>k} of images with these bounds, of models with several groups."""
    ks = tuple(range(1, len(trained.subject.model.group_sizes)))
    if not ks:
        return {}
    compute = trained.compiled(make_bounds_of_places, trained.importance_samples, ks)

    def bounds_above(places: np.ndarray) -> jax.Array:
        return compute(trained.variables, trained.seed, split[places], places)

    above = map_batches(
        bounds_above, np.arange(split.size), trained.batch_size, trained.on_batch
    )
    ratios = np.asarray(bounds.log_likelihood, np.float64)[:, None] - above
    return {f"llr_above_{k}": ratios[:, i] for i, k in enumerate(ks)}


def make_look(
    model: Model, preprocess: Preprocess
) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Returns (seed, stored images [B], places [B]) -> x [B, H, W, C], keys [B]."""
    del model
    return functools.partial(look_at, preprocess, name=NOISE)


def make_regret(
    model: Model, preprocess: Preprocess, num_samples: int
) -> Callable[..., jax.Array]:
    """Returns (variables, seed, stored images [B], places [B]) -> regret [B], nats."""
    compute = make_likelihood_regret(model, num_samples)

    def regret(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        x, keys = look_at(preprocess, seed, stored, places, name=NOISE)
        return compute(variables, x, None, keys)

    return regret


def make_bounds_of_places(
    model: Model, preprocess: Preprocess, num_samples: int, ks: Sequence[int]
) -> Callable[..., jax.Array]:
    """Returns (variables, seed, stored images [B], places [B]) -> L^{>k} [B, len(ks)]
    in nats, by the noise of the bounds."""
    compute = make_bounds_above(model, num_samples, ks)

    def bounds(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        x, keys = look_at(preprocess, seed, stored, places, name=NOISE)
        return compute(variables, x, stored.labels, keys)

    return bounds


def scores_of_bounds(
    bounds: ImageBounds, *, typical_bound: float, code_lengths: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Returns the scores [N] that follow from an image's bounds.

    Args:
      bounds: of N images.
      typical_bound: the mean of log L_K over training images.
      code_lengths: of the images [N], from `data.png.png_lengths`; None for vectors,
        which have no `complexity_ratio`.
    """
    neg_bound = -np.asarray(bounds.log_likelihood, np.float64)
    rate = np.broadcast_to(bounds.rate, neg_bound.shape)
    scores = {
        "neg_elbo": np.asarray(bounds.distortion + rate),
        "neg_bound": neg_bound,
        "reconstruction": -np.asarray(bounds.reconstruction_log_prob),
        "distortion": np.asarray(bounds.distortion),
        "rate": rate,
        "atypicality": np.abs(neg_bound + typical_bound),
    }
    if code_lengths is not None:
        scores["complexity_ratio"] = neg_bound - code_lengths
    return scores

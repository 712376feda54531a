"""How the latent space is used, of test images."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vae import rng
from vae.data.splits import Split, evenly_spaced
from vae.distributions.transformed import TransformedDistribution
from vae.evaluation.base import Preprocess, Trained, map_batches
from vae.evaluation.collapse import (
    decoder_sensitivity,
    information,
    is_active,
    judge_codes,
    judge_groups,
)
from vae.latents.aggregate import infer_stored
from vae.models.base import Model
from vae.models.posteriors import RelaxedCategorical, VectorQuantized
from vae.types import Array, Params

# Test images by which information is estimated, and pixels of all of them, at most.
MOST, MOST_PIXELS = 2_000, 2_000_000
SENSITIVE = 64  # codes at which the decoder is differentiated
MOST_DIMENSIONS = 4_096  # of a code, if they are looked at one by one
VARIANCE_ERROR = "latent/mean_variance_error"


class Usage(NamedTuple):
    """How the latent space, of which a part may be padding, is used."""

    codes: jax.Array  # [N, D]
    sensitivity: jax.Array  # [D]
    mutual_information: jax.Array | None  # nats; None if densities cost too much
    marginal_kl: jax.Array | None  # nats; None if each image has a prior of its own


def run(trained: Trained) -> dict[str, Any]:
    """Returns how the latent space is used, and the verdict on it in words, `collapse`;
    see `collapse`.

    Of continuous codes: for each dimension `latent/decoder_sensitivity`, then
    `latent/mutual_information_nats`, at most `latent/information_limit_nats`, and
    `latent/marginal_kl_nats`. Of discrete codes: `latent/codes_used` and
    `latent/code_perplexity`.
    """
    subject, before = trained.subject, trained.results
    test, posterior = subject.dataset.test, subject.model.posterior
    pixels = int(np.prod(subject.dataset.event_shape))
    count = min(MOST, test.size, max(1, MOST_PIXELS // pixels))
    places = evenly_spaced(test.size, count).astype(np.int32)
    given = trained.variables, trained.seed, test[places], places
    if isinstance(posterior, RelaxedCategorical | VectorQuantized):
        codes = np.asarray(trained.compiled(make_codes)(*given))
        is_shared = isinstance(posterior, VectorQuantized)  # by all positions
        counts = codes.sum(axis=(0, 1) if is_shared else 0)
        counts = counts.reshape(-1, codes.shape[-1])
        use = judge_codes(counts, steps=trained.training["steps"])
        return {
            "latent/codes_used": use.used,
            "latent/code_perplexity": use.perplexity,
            "collapse": str(use.verdict),
        }
    if subject.code_dim > MOST_DIMENSIONS:
        return {
            "collapse": f"unknown: a code has {subject.code_dim:,} dimensions, and up "
            f"to {MOST_DIMENSIONS:,} are looked at one by one"
        }
    if "latent/mean_variance" not in before:
        return {
            "collapse": "unknown: the variance of this model's posterior means needs "
            "two test images and evaluate.bounds.importance_samples=2 or more"
        }
    usage = trained.compiled(make_use)(*given)
    size, codes = subject.code_dim, np.asarray(usage.codes)
    if count < (most := min(MOST, test.size)):
        draw = trained.compiled(make_latents)
        codes = map_batches(
            lambda some: draw(trained.variables, trained.seed, test[some], some),
            evenly_spaced(test.size, most),
            count,
        )
    variance = np.array(before["latent/mean_variance"])
    verdict = judge_groups(
        before.get("latent/rate_per_group_nats", [before["test/rate_nats"]]),
        variance,
        codes.var(axis=0)[:size],
        np.array(before.get(VARIANCE_ERROR, np.zeros_like(variance))),
        subject.model.group_sizes,
        subject.model.rates_are_divergences,
        **trained.training,
    )
    sensitivity = np.asarray(usage.sensitivity, np.float64)[:size]
    results: dict[str, Any] = {"latent/decoder_sensitivity": sensitivity.tolist()}
    if usage.mutual_information is not None:
        results["latent/mutual_information_nats"] = float(usage.mutual_information)
        results["latent/information_limit_nats"] = float(np.log(len(places)))
    if usage.marginal_kl is not None:
        results["latent/marginal_kl_nats"] = float(usage.marginal_kl)
    return results | {"collapse": str(verdict)}


def make_use(model: Model, preprocess: Preprocess) -> Callable[..., Usage]:
    """Returns (variables, seed, stored images [N], places [N]) -> `Usage`."""

    def use(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        key = rng.stream(seed, "usage")
        _, inference = infer_stored(model, variables, preprocess, stored, places, key)
        z = inference.codes[0]
        labels = None if stored.labels is None else stored.labels[:SENSITIVE]

        group, *others = inference.groups
        moved = z[:SENSITIVE]
        if others:  # of each, with the groups below that follow it
            prior: Any = model.apply(variables, labels, method="prior_of")
            moved = prior.to_noise(moved)

        def decode(moved: jax.Array) -> jax.Array:
            z = prior.from_noise(moved) if others else moved
            return model.apply(variables, z, label=labels, method="decode").mean

        mutual = marginal = None
        is_costly = isinstance(group.posterior, TransformedDistribution)
        if not (others or is_costly):
            mutual, marginal = information(
                group.posterior, group.prior, z, group.log_q[0]
            )
        return Usage(
            codes=z,
            sensitivity=decoder_sensitivity(decode, moved),
            mutual_information=mutual,
            marginal_kl=None if group.prior.batch_shape else marginal,
        )

    return use


def make_latents(model: Model, preprocess: Preprocess) -> Callable[..., jax.Array]:
    """Returns (variables, seed, stored images [N], places [N]) -> codes [N, D]."""

    def latents(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        key = rng.stream(seed, "usage")
        _, inference = infer_stored(model, variables, preprocess, stored, places, key)
        return inference.codes[0]

    return latents


def make_codes(model: Model, preprocess: Preprocess) -> Callable[..., jax.Array]:
    """Returns (variables, seed, stored images [N], places [N]) -> their discrete codes,
    one-hot [N, P, C], hard as in evaluation."""

    def codes(variables: Params, seed: jax.Array, stored: Split, places: jax.Array):
        key = rng.stream(seed, "usage")
        _, inference = infer_stored(model, variables, preprocess, stored, places, key)
        (group,) = inference.groups
        return group.posterior.codes

    return codes


def use_of_means(
    posterior_means: Array, error: Array, groups: Sequence[int]
) -> dict[str, Any]:
    """Returns `latent/mean_variance` with its error, if it has one, and
    `latent/active_units`, also per group if there are several.

    Args:
      posterior_means: of images [N, D].
      error: variances of their errors [N, D].
      groups: dimensions of each group; D is their sum or, of a single group, less.
    """
    found = np.asarray(posterior_means), np.asarray(error)
    variance, spread = variance_of_means(*found)
    results: dict[str, Any] = {"latent/active_units": active_units(variance, spread)}
    if len(groups) > 1:
        cuts = np.cumsum(groups)[:-1]
        parts = zip(np.split(variance, cuts), np.split(spread, cuts), strict=True)
        counts = [active_units(*part) for part in parts]
        results["latent/active_units_per_group"] = counts
    results["latent/mean_variance"] = variance.tolist()
    if spread.any():
        results[VARIANCE_ERROR] = spread.tolist()
    return results


def variance_of_means(
    posterior_means: np.ndarray, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the variance over images [D] of posterior means [N, D], less that of
    their error [N, D]; and its standard error [D], 0 where the means have none."""
    variance = posterior_means.var(axis=0) - error.mean(axis=0)
    spread, estimated = np.zeros_like(variance), error.any(axis=0)
    means, error = posterior_means[:, estimated], error[:, estimated]
    squares = (means - means.mean(axis=0)) ** 2 - error
    spread[estimated] = squares.std(axis=0) / len(squares) ** 0.5
    return variance, spread


def active_units(variance: np.ndarray, error: np.ndarray) -> int:
    """Counts the active dimensions; see `collapse.is_active`."""
    return int(is_active(variance, error).sum())

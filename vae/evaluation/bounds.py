"""Bounds on log p(x) in nats: of each image, and of a split."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae import rng
from vae.data.splits import Split
from vae.data.storage import blocks
from vae.distributions.ancestral import split_groups
from vae.evaluation.base import (
    Preprocess,
    Subject,
    Trained,
    look_at,
    mean_and_error,
)
from vae.evaluation.latent import MOST_DIMENSIONS, use_of_means
from vae.fields import Count
from vae.models.base import Model
from vae.objectives.base import elbo_terms, kl_per_dimension, moments_of_example
from vae.types import Array, Inference, LatentGroup, Params

ROWS_PER_CHUNK = 2000  # decoder rows evaluated at once: enough to fill the cores


class ImageBounds(NamedTuple):
    """What importance sampling says of each image."""

    distortion: Array  # [B], mean over samples
    rate: Array  # [B]
    rate_per_group: Array  # [B, L], sums to rate
    log_likelihood: Array  # [B], the importance-weighted bound L_K
    effective_sample_size: Array  # [B], in 1..K
    reconstruction_log_prob: Array  # [B], log E_q p(x | z): An & Cho 2015, algorithm 4
    # [B, D], of all groups; the samples' where unknown. This and what follows are None
    # for codes of more than `MOST_DIMENSIONS`.
    posterior_mean: Array | None
    mean_error: Array | None  # [B, D], its variance; None if one sample tells nothing
    kl_per_dimension: Array | None  # [B, D]; None where the rate is no sum over D

    def in_units_of_data(self, log_jacobian: Array) -> "ImageBounds":
        """Returns the bounds on log p of data that were scaled, by log |du / dx| [B]
        (`Scaling.log_jacobian`)."""
        return self._replace(
            distortion=self.distortion - log_jacobian,
            log_likelihood=self.log_likelihood + log_jacobian,
            reconstruction_log_prob=self.reconstruction_log_prob + log_jacobian,
        )


def make_importance_bound(
    model: Model, num_samples: int, *, rows: int = ROWS_PER_CHUNK
) -> Callable[[Params, jax.Array, jax.Array | None, jax.Array], ImageBounds]:
    """Returns (variables, x [B, H, W, C], labels [B], keys [B]) ->
    `ImageBounds`, pure.

    L_K = E[log 1/K sum_k p(x, z_k) / q(z_k | x)], by K = `num_samples` samples in
    pieces of at most `rows` decoder rows; the encoder runs once. Sample k does not
    depend on K or on the pieces.

    References:
      Burda et al. 2015, arXiv 1509.00519, eq. 8.
    """

    def bound(
        variables: Params, x: jax.Array, labels: jax.Array | None, keys: jax.Array
    ) -> ImageBounds:
        encoded = model.apply(variables, x, label=labels, method="encode")
        chunk = min(num_samples, max(1, rows // len(x)))
        num_chunks = -(-num_samples // chunk)

        def infer(sample_ids: jax.Array) -> Inference:
            chunk_keys = rng.per_sample(keys, sample_ids)
            return model.apply(variables, encoded, chunk_keys, method="infer")

        def add_chunk(sums, first):
            sample_ids = first * chunk + jnp.arange(chunk)
            inference = infer(sample_ids)
            terms = elbo_terms(inference, x)
            counts = (sample_ids < num_samples)[:, None]  # [chunk, 1]
            log_weights = jnp.where(counts, terms.log_weights, -jnp.inf)
            codes, counted = inference.codes, counts[..., None]
            log_likelihoods = jnp.where(counts, -terms.distortion, -jnp.inf)
            log_sum, log_squares, log_mean, distortion, rates, code, square = sums
            return (
                _add(log_sum, log_weights),
                _add(log_squares, 2 * log_weights),
                _add(log_mean, log_likelihoods),
                distortion + jnp.where(counts, terms.distortion, 0).sum(0),
                rates + jnp.where(counts, terms.rate_per_group, 0).sum(1),
                code + jnp.where(counted, codes, 0).sum(0),
                square + jnp.where(counted, codes**2, 0).sum(0),
            ), None

        first = infer(jnp.arange(1))  # the compiler drops the decoding
        groups = first.groups
        zeros = jnp.zeros(len(x), groups[0].log_q.dtype)
        codes = jnp.zeros_like(first.codes[0])
        rates = jnp.zeros((len(groups), len(x)), zeros.dtype)
        start = (*[zeros - jnp.inf] * 3, zeros, rates, codes, codes)
        sums, _ = jax.lax.scan(add_chunk, start, jnp.arange(num_chunks))
        log_sum, log_squares, log_mean, distortion, rates, code, square = sums
        mean = error = kl = None
        if codes.shape[-1] <= MOST_DIMENSIONS:
            mean, error = _posterior_mean(groups, code, square, num_samples)
            kl = _kl_per_dimension(groups)
        return ImageBounds(
            distortion=distortion / num_samples,
            rate=rates.sum(0) / num_samples,
            rate_per_group=rates.T / num_samples,
            log_likelihood=log_sum - jnp.log(num_samples),
            effective_sample_size=jnp.exp(2 * log_sum - log_squares),
            reconstruction_log_prob=log_mean - jnp.log(num_samples),
            posterior_mean=mean,
            mean_error=error,
            kl_per_dimension=kl,
        )

    return bound


def _add(log_sum: jax.Array, logs: jax.Array) -> jax.Array:
    """Adds numbers, of which logs [K, B] are given, to a sum."""
    return jnp.logaddexp(log_sum, jax.nn.logsumexp(logs, axis=0))


def _posterior_mean(
    groups: tuple[LatentGroup, ...], total: jax.Array, squares: jax.Array, count: int
) -> tuple[jax.Array, jax.Array | None]:
    """The mean code [B, D] in closed form, or of `count` samples with these sums, and
    the variance of its error."""
    sizes = [group.z.shape[-1] for group in groups]
    means, errors = [], []
    for group, *sums in zip(
        groups, split_groups(total, sizes), split_groups(squares, sizes), strict=True
    ):
        mean, square = (array / count for array in sums)
        error = None if count == 1 else (square - mean**2) / (count - 1)
        if (known := moments_of_example(group, "mean")) is not None:
            (mean,) = known
            error = jnp.zeros_like(mean)
        means.append(mean)
        errors.append(error)
    is_known = all(error is not None for error in errors)
    error = jnp.concatenate(errors, -1) if is_known else None
    return jnp.concatenate(means, -1), error


def _kl_per_dimension(groups: tuple[LatentGroup, ...]) -> jax.Array | None:
    """KL [B, D] of all groups; by the one sample that is given, where it depends on
    other groups."""
    known = [kl for group in groups if (kl := kl_per_dimension(group)) is not None]
    if len(known) != len(groups):
        return None
    return jnp.concatenate([kl[0] if kl.ndim == 3 else kl for kl in known], -1)


def make_evaluate_batch(
    model: Model,
    preprocess: Preprocess,
    *,
    name: str,
    num_samples: int,
    rows: int = ROWS_PER_CHUNK,
) -> Callable[[Params, jax.Array, Split, jax.Array], ImageBounds]:
    """Returns (variables, seed, stored images [B], places [B]) -> `ImageBounds` of the
    split called `name`, pure.

    An image has the binarisation and noise of its place in the split, whatever the
    batch size and the number of devices.
    """
    bound = make_importance_bound(model, num_samples, rows=rows)

    def evaluate_batch(
        variables: Params, seed: jax.Array, stored: Split, places: jax.Array
    ) -> ImageBounds:
        images, keys = look_at(preprocess, seed, stored, places, name=name)
        return bound(variables, images, stored.labels, keys)

    return evaluate_batch


def evaluate_split(
    trained: Trained, split: Split, *, name: str, num_samples: int
) -> dict[str, Any]:
    """Returns `summarise` of the bounds of the split called `name`."""
    bounds = trained.bounds(split, name, num_samples, trained.on_batch)
    return summarise(trained.subject, bounds, name, num_samples)


def summarise(
    subject: Subject, bounds: ImageBounds, name: str, num_samples: int
) -> dict[str, Any]:
    """Averages the bounds of the images of the split called `name`.

    Returns:
      `{name}/elbo_nats`, `/elbo_stderr` (over images, if there are two or more),
      `/distortion_nats`, `/rate_nats`, `/nll_is{K}_nats`, `/nll_is{K}_stderr` (as that
      of the ELBO), `/nll_is{K}_ess` (mean over images, of K), `/bits_per_dim` (if the
      likelihood is discrete and no value is missing), `/images`, `latent/active_units`,
      `latent/mean_variance` (of the posterior means, for each dimension; both of two
      images or more), `latent/mean_variance_error` (its standard error, where samples
      estimate it), and `latent/kl_per_dim` (where the rate is a sum over
      dimensions). Of models with several groups, `latent/rate_per_group_nats` and
      `latent/active_units_per_group`, the lowest group first.
    """
    bounds = jax.tree.map(lambda array: np.asarray(array, np.float64), bounds)
    nll, nll_name = -np.asarray(bounds.log_likelihood), f"{name}/nll_is{num_samples}"
    results: dict[str, Any] = {
        **mean_and_error(f"{name}/elbo", -np.add(bounds.distortion, bounds.rate)),
        f"{name}/distortion_nats": float(np.mean(bounds.distortion)),
        f"{name}/rate_nats": float(bounds.rate.mean()),
        **mean_and_error(nll_name, nll),
        f"{nll_name}_ess": float(bounds.effective_sample_size.mean()),
        f"{name}/images": len(nll),
    }
    size, groups = subject.code_dim, subject.model.group_sizes  # beyond is padding
    if len(groups) > 1:
        rates = np.mean(bounds.rate_per_group, 0)
        results["latent/rate_per_group_nats"] = rates.tolist()
    mean, error = bounds.posterior_mean, bounds.mean_error
    # A single one has no variance.
    if mean is not None and error is not None and len(nll) > 1:
        results |= use_of_means(mean[:, :size], error[:, :size], groups)
    if bounds.kl_per_dimension is not None:
        kl = np.mean(bounds.kl_per_dimension[:, :size], 0)
        results["latent/kl_per_dim"] = kl.tolist()
    # The negative logarithm of a density is not a code length.
    if subject.model.likelihood.is_discrete and not subject.model.observed_only:
        pixels = np.prod(subject.dataset.event_shape)
        nats = results[f"{nll_name}_nats"]
        results[f"{name}/bits_per_dim"] = float(nats / (pixels * np.log(2)))
    return results


def run(trained: Trained, *, importance_samples: Count = 100) -> dict[str, Any]:
    """Evaluates the test split.

    Returns:
      `summarise` of its bounds, and of scaled data `test/elbo_data_units_nats` and
      `test/nll_is{K}_data_units_nats` with their standard errors: scaling changes a
      log-density, but not one in the units of the data.
    """
    dataset, name = trained.subject.dataset, f"nll_is{importance_samples}"
    bounds = trained.bounds(dataset.test, "test", importance_samples, trained.on_batch)
    results = summarise(trained.subject, bounds, "test", importance_samples)
    if dataset.scaling is None:
        return results
    log_jacobian = [
        dataset.scaling.log_jacobian(np.asarray(block, np.float64))
        for _, block in blocks(dataset.test.images)
    ]
    bounds = bounds.in_units_of_data(np.concatenate(log_jacobian))
    found = summarise(trained.subject, bounds, "test", importance_samples)
    of_units = {
        key.replace(measure, f"{measure}_data_units"): found[key]
        for measure in ("elbo", name)
        for key in (f"test/{measure}_nats", f"test/{measure}_stderr")
        if key in found
    }
    return results | of_units


def run_average(trained: Trained) -> dict[str, Any]:
    """Evaluates the test split with the average of the weights, if there is one.

    Returns:
      Those results of `run` that begin with `test/`, as `test/ema/`. Noise and
      binarisation are the same, so that differences are those of the weights.
    """
    if trained.average is None:
        return {}
    average = trained.average._replace(on_batch=trained.on_batch)
    found = run(average, importance_samples=trained.importance_samples)
    of_split = {key: key.partition("/") for key in found}
    return {
        f"test/ema/{measure}": found[key]
        for key, (split, _, measure) in of_split.items()
        if split == "test"
    }


def run_validation(trained: Trained) -> dict[str, float]:
    """Returns the ELBO of the validation split."""
    split = trained.subject.dataset.validation
    found = evaluate_split(trained, split, name="validation", num_samples=1)
    return {"validation/elbo_nats": found["validation/elbo_nats"]}

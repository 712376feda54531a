"""Tighter truth: how far the bounds of a run are from log p(x), in nats.

Annealing needs no approximate posterior, so that it judges one. On images that were
simulated from the model it bounds log p(x) from both sides: the width between says how
far the bound from below may be from the truth on test images, too.

References:
  Wu et al. 2017, arXiv 1611.04273 (both bounds of decoders).
  Cremer et al. 2018, arXiv 1801.03558 (where the ELBO loses).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from experiments import interrupt
from experiments.annealing import Observed, Simulated
from experiments.program import Program, own_model
from experiments.terminal import ProgressReport
from vae.build import Experiment
from vae.data.splits import Split, evenly_spaced
from vae.evaluation.evaluate import mean_and_error
from vae.training.loop import Interrupted
from vae.training.state import TrainState
from vae.types import Array, Params

BATCH = 20  # images annealed at once, which changes no result

Results = dict[str, Any]


def holds_truth(results: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Says whether results hold what `asked`, the group `evaluate` of a configuration,
    wants annealed."""
    if not asked["annealed_images"]:
        return True
    return (
        results.get("truth/images") == asked["annealed_images"]
        and results.get("truth/annealed_steps") == asked["annealed_steps"]
        and f"truth/nll_is{asked['importance_samples']}_nats" in results
    )


def measure_truth(
    experiment: Experiment, program: Program, state: TrainState, *, quiet: bool = False
) -> Results:
    """Bounds log p(x) of test images evenly spaced, and of as many simulated ones.

    Returns:
      `truth/images`, `truth/annealed_steps`, and means over images in nats, each with
      its `_stderr` (of two images or more). Of test images, as `evaluate` sees them:
      `truth/nll_ais_nats`, annealed, with the mean effective sample size `_ess` (of
      `annealing.CHAINS`) and the `_acceptance` of moves; `/nll_is{K}_nats`;
      `/is{K}_gap_nats`, how far the annealed bound is above L_K; and if the posterior
      is a diagonal Gaussian `/approximation_gap_nats` and `/amortisation_gap_nats`,
      which add up to what the ELBO lacks of the larger of both bounds. Of simulated
      images, all of log p(x): `/simulated_lower_nats`, `/simulated_upper_nats`,
      `/simulated_gap_nats` between these, and `/simulated_is{K}_nats`.

    Raises:
      Interrupted: the process was asked to stop.
    """
    _, variables = own_model(experiment, state)
    device = experiment.placement.mesh.local_devices[0]
    given = jax.device_put((variables, state.seed), device)
    annealing = program.annealing(experiment.latent_dim)
    count, test = experiment.annealed_images, experiment.dataset.test
    places = evenly_spaced(test.size, count).astype(np.int32)
    with ProgressReport("anneal", 0, 2 * count, "images", quiet=quiet) as progress:
        observed, simulated = (
            _in_batches(find, given, test, places, progress.advance)
            for find in annealing
        )
    return {
        "truth/images": count,
        "truth/annealed_steps": experiment.annealed_steps,
        **_about_observed(observed, experiment.importance_samples),
        **_about_simulated(simulated, experiment.importance_samples),
    }


def _in_batches(
    find: Callable[..., Any],
    given: tuple[Params, Array],
    test: Split,
    places: np.ndarray,
    on_batch: Callable[[int], None],
) -> Any:
    """Returns what a function of `Annealing` finds at all places [N], in float64."""
    parts = []
    for start in range(0, len(places), BATCH):
        if interrupt.requested():
            raise Interrupted("stopped while images were annealed; the rest is saved")
        count = min(BATCH, len(places) - start)
        padded = np.resize(places[start : start + count], min(BATCH, len(places)))
        part = jax.device_get(jax.block_until_ready(find(*given, test[padded], padded)))
        parts.append(jax.tree.map(lambda array, n=count: array[:n], part))
        on_batch(count)
    return jax.tree.map(lambda *arrays: np.concatenate(arrays).astype(float), *parts)


def _about_observed(found: Observed, num_samples: int) -> Results:
    annealed, importance, gaps = found
    results = {
        **_mean("nll_ais", -annealed.log_likelihood),
        "truth/nll_ais_ess": float(annealed.effective_sample_size.mean()),
        "truth/nll_ais_acceptance": float(annealed.acceptance.mean()),
        **_mean(f"nll_is{num_samples}", -importance),
        **_mean(f"is{num_samples}_gap", annealed.log_likelihood - importance),
    }
    if gaps is not None:
        results |= _mean("approximation_gap", gaps.approximation_gap)
        results |= _mean("amortisation_gap", gaps.amortisation_gap)
    return results


def _about_simulated(found: Simulated, num_samples: int) -> Results:
    lower, upper = found.lower.log_likelihood, found.upper.log_likelihood
    return {
        **_mean("simulated_lower", lower),
        **_mean("simulated_upper", upper),
        **_mean("simulated_gap", upper - lower),
        **_mean(f"simulated_is{num_samples}", found.importance),
    }


def _mean(name: str, values: Array) -> Results:
    """See `mean_and_error`."""
    return mean_and_error(f"truth/{name}", np.asarray(values))

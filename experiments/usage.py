"""How a run's latent space is used: results of every evaluation."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.program import Program
from vae.build import Experiment
from vae.compatibility import POSTERIORS_ON
from vae.data.splits import evenly_spaced
from vae.evaluation.collapse import (
    CYCLICAL,
    FREE_BITS,
    WARM_UP,
    Verdict,
    judge,
    judge_codes,
)
from vae.training.state import TrainState

# Test images by which information is estimated, and pixels of all of them, at most.
MOST, MOST_PIXELS = 2_000, 2_000_000
SETTLED = 1_000  # steps before which codes that say nothing are no news


def causes(experiment: Experiment) -> dict[str, Any]:
    """Returns what of an experiment decides on `vae.evaluation.collapse.remedies`."""
    objective = experiment.config["objective"]
    is_in_use = {
        WARM_UP: objective["growth"] in ("linear", "sigmoid"),
        CYCLICAL: objective["growth"] == "cyclical",
        FREE_BITS: objective["name"].startswith("free_bits"),
    }
    likelihood = experiment.config["model"]["likelihood"]["name"]
    return {
        "beta": float(experiment.hparams["beta"]),
        "has_fixed_variance": likelihood == "gaussian",
        "in_use": [remedy for remedy, is_used in is_in_use.items() if is_used],
    }


def report_usage(
    experiment: Experiment,
    program: Program,
    state: TrainState,
    results: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns how the latent space is used, and the verdict on it in words, `collapse`;
    see `vae.evaluation.collapse`.

    Of continuous codes these are for each dimension `latent/decoder_sensitivity`, then
    `latent/mutual_information_nats`, at most `latent/information_limit_nats`, and
    `latent/marginal_kl_nats`. Of discrete codes these are `latent/codes_used` and
    `latent/code_perplexity`.
    """
    test = experiment.dataset.test
    pixels = int(np.prod(experiment.dataset.image_shape))
    count = min(MOST, test.size, max(1, MOST_PIXELS // pixels))
    places = evenly_spaced(test.size, count).astype(np.int32)
    posterior = experiment.config["model"]["posterior"]["name"]
    if posterior in POSTERIORS_ON["discrete codes"]:
        codes = program.views.codes(state.variables, state.seed, test[places], places)
        is_shared = posterior == "vector_quantized"
        return _about_codes(experiment, np.asarray(codes), is_shared=is_shared)
    if "latent/mean_variance" not in results:
        return {}
    usage = program.views.use(state.variables, state.seed, test[places], places)
    size = experiment.code_dim
    verdict = judge(
        results["test/rate_nats"],
        np.array(results["latent/mean_variance"]),
        np.asarray(usage.code_variance)[:size],
        **causes(experiment),
    )
    sensitivity = np.asarray(usage.sensitivity, np.float64)[:size]
    told = {"latent/decoder_sensitivity": sensitivity.tolist()}
    if usage.mutual_information is not None:
        told["latent/mutual_information_nats"] = float(usage.mutual_information)
        told["latent/information_limit_nats"] = float(np.log(len(places)))
    if usage.marginal_kl is not None:
        told["latent/marginal_kl_nats"] = float(usage.marginal_kl)
    return told | {"collapse": _with_steps(experiment, verdict)}


def _about_codes(
    experiment: Experiment, codes: np.ndarray, *, is_shared: bool
) -> dict[str, Any]:
    """Returns the results of one-hot codes [N, P, C]; `is_shared` if all positions
    choose from one codebook."""
    counts = codes.sum(axis=(0, 1) if is_shared else 0).reshape(-1, codes.shape[-1])
    use = judge_codes(counts)
    return {
        "latent/codes_used": use.used,
        "latent/code_perplexity": use.perplexity,
        "collapse": _with_steps(experiment, use.verdict),
    }


def _with_steps(experiment: Experiment, verdict: Verdict) -> str:
    steps = experiment.plan.steps
    early = f"after {steps} steps only, " if steps < SETTLED else ""
    return f"{early}{verdict}"

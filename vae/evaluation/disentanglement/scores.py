"""All scores of one model at once, by name."""

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vae.data.factors import FactorSource
from vae.evaluation.disentanglement.dci import dci
from vae.evaluation.disentanglement.explicitness import explicitness
from vae.evaluation.disentanglement.gaussian_tc import gaussian_total_correlation
from vae.evaluation.disentanglement.information import mig, modularity
from vae.evaluation.disentanglement.interventions import (
    Points,
    beta_vae,
    factor_vae,
)
from vae.evaluation.disentanglement.representation import (
    Encode,
    Sample,
    encode_points,
    sample_codes,
)
from vae.evaluation.disentanglement.sap import sap
from vae.types import Unsupported


class Protocol(NamedTuple):
    """How scores are computed: as in Locatello et al. 2019, arXiv 1811.12359."""

    num_train: int = 10_000
    num_test: int = 5_000
    batch_size: int = 64  # images, or pairs of them, that share a factor


class Task(NamedTuple):
    """What a metric is computed from."""

    encode: Encode
    draw: Encode | None
    source: FactorSource
    protocol: Protocol
    random: np.random.Generator


def score_all(
    encode: Encode,
    source: FactorSource,
    *,
    seed: int,
    draw: Encode | None = None,
    protocol: Protocol | None = None,
    metrics: Sequence[str] | None = None,
) -> dict[str, float]:
    """Computes scores `disentanglement/NAME` of an encoder.

    Every metric draws its own images, by a generator that depends on `seed` and the
    metric's name only.

    Args:
      encode: returns the codes [N, D] of the images of factors int [N, F]; asked for
        several thousand at once, always as many but for the last of a draw.
      source: the data set's factors.
      seed: a natural number.
      draw: as `encode`, but of codes drawn from the posteriors, for their total
        correlation.
      protocol: default `Protocol()`.
      metrics: the keys of `METRICS` to compute, default all.

    Raises:
      Unsupported: the data set has no score, or codes are not finite.
    """
    protocol = Protocol() if protocol is None else protocol
    if len(source.sizes) < 2 or min(source.sizes) < 2:
        raise Unsupported("needs two factors of variation or more, of two values each")
    if min(protocol.num_train, protocol.num_test) < max(source.sizes):
        raise Unsupported(f"needs {max(source.sizes)} images to show all values")
    scores = {}
    for metric in METRICS if metrics is None else metrics:
        random = np.random.default_rng([seed, zlib.crc32(metric.encode())])
        scores |= METRICS[metric](Task(encode, draw, source, protocol, random))
    return {f"disentanglement/{name}": score for name, score in scores.items()}


def _beta_vae(task: Task) -> dict[str, float]:
    return {"beta_vae": beta_vae(*_sampled(task), Points(*task.protocol))}


def _factor_vae(task: Task) -> dict[str, float]:
    return {"factor_vae": factor_vae(*_sampled(task), Points(*task.protocol))}


def _mig(task: Task) -> dict[str, float]:
    return {"mig": mig(sample_codes(*_sampled(task), task.protocol.num_train))}


def _dci(task: Task) -> dict[str, float]:
    scores = dci(*_train_and_test(task), task.random)
    return {f"dci_{name}": score for name, score in scores._asdict().items()}


def _modularity_and_explicitness(task: Task) -> dict[str, float]:
    train, test = _train_and_test(task)
    return {"modularity": modularity(train), "explicitness": explicitness(train, test)}


def _sap(task: Task) -> dict[str, float]:
    return {"sap": sap(*_train_and_test(task))}


def _total_correlation(task: Task) -> dict[str, float]:
    means, factors = sample_codes(*_sampled(task), task.protocol.num_train)
    of = {"means": means}
    if task.draw is not None:
        of["samples"] = encode_points(task.draw, factors, lambda codes: codes)
    return {
        f"gaussian_total_correlation_of_{name}_nats": gaussian_total_correlation(codes)
        for name, codes in of.items()
    }


METRICS: dict[str, Callable[[Task], dict[str, float]]] = {
    "beta_vae": _beta_vae,
    "factor_vae": _factor_vae,
    "mig": _mig,
    "dci": _dci,
    "modularity_and_explicitness": _modularity_and_explicitness,
    "sap": _sap,
    "total_correlation": _total_correlation,
}


def _sampled(task: Task) -> tuple[Encode, FactorSource, np.random.Generator]:
    return task.encode, task.source, task.random


def _train_and_test(task: Task) -> tuple[Sample, Sample]:
    protocol = task.protocol
    train = sample_codes(*_sampled(task), protocol.num_train)
    return train, sample_codes(*_sampled(task), protocol.num_test)

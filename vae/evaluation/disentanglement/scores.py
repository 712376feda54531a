"""All scores of one model at once, by name."""

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vae.data.factors import FactorSource
from vae.evaluation.disentanglement.codes import (
    Encode,
    Sample,
    encode_points,
    sample_codes,
)
from vae.evaluation.disentanglement.dci import CLASSIFIERS, dci
from vae.evaluation.disentanglement.explicitness import explicitness
from vae.evaluation.disentanglement.information import mig, modularity
from vae.evaluation.disentanglement.interventions import (
    Points,
    beta_vae,
    factor_vae,
)
from vae.evaluation.disentanglement.sap import sap
from vae.evaluation.disentanglement.total_correlation import gaussian_total_correlation
from vae.types import UserError


class Protocol(NamedTuple):
    """How scores are computed; by default as in Locatello et al. 2019,
    arXiv 1811.12359. Variants of a definition are recorded in the name of the score.
    """

    num_train: int = 10_000
    num_test: int = 5_000
    batch_size: int = 64  # images, or pairs of them, that share a factor
    num_bins: int = 20  # of the codes' histograms: `mig_bins50`
    dci_classifier: str = "gradient_boosting"  # `dci_random_forest_disentanglement`
    continuous_factors: bool = False  # `sap_continuous`


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
      draw: as `encode`, but of codes drawn from the posteriors, whose total correlation
        is told, too.
      protocol: default `Protocol()`.
      metrics: the keys of `METRICS` to compute, default all.

    Raises:
      UserError: the protocol or the data set gives no score, or codes are not finite.
    """
    protocol = Protocol() if protocol is None else protocol
    metrics = tuple(METRICS) if metrics is None else metrics
    _check_source(source, protocol)
    _check_choices(protocol, metrics)
    scores = {}
    for metric in metrics:
        task = Task(encode, draw, source, protocol, _generator(seed, metric))
        scores |= METRICS[metric](task)
    return {f"disentanglement/{name}": score for name, score in scores.items()}


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _check_source(source: FactorSource, protocol: Protocol) -> None:
    if len(source.sizes) < 2:
        raise UserError(
            "disentanglement scores compare factors of variation, but the data have "
            f"{len(source.sizes)}: choose data with 2 or more"
        )
    for name, size in zip(source.names, source.sizes, strict=True):
        if size < 2:
            raise UserError(
                f"the factor {name} has one value only, and no score: leave it out"
            )
        for field in ("num_train", "num_test"):
            if getattr(protocol, field) < size:
                raise UserError(
                    f"{field}={getattr(protocol, field)} images cannot show all "
                    f"{size} values of the factor {name}: ask for more"
                )


def _check_choices(protocol: Protocol, metrics: Sequence[str]) -> None:
    if protocol.batch_size < 2:
        raise UserError(
            f"batch_size={protocol.batch_size} images have no variance: set 2 or more"
        )
    if protocol.num_bins < 2:
        raise UserError(f"num_bins={protocol.num_bins} tell nothing: set 2 or more")
    if protocol.dci_classifier not in CLASSIFIERS:
        raise UserError(
            f"dci_classifier={protocol.dci_classifier} does not exist: choose "
            f"{' or '.join(CLASSIFIERS)}"
        )
    for metric in metrics:
        if metric not in METRICS:
            raise UserError(
                f"there is no disentanglement metric {metric}: choose from "
                f"{', '.join(METRICS)}"
            )


def _beta_vae(task: Task) -> dict[str, float]:
    return {"beta_vae": beta_vae(*_sampled(task), _points(task.protocol))}


def _factor_vae(task: Task) -> dict[str, float]:
    return {"factor_vae": factor_vae(*_sampled(task), _points(task.protocol))}


def _mig(task: Task) -> dict[str, float]:
    bins = task.protocol.num_bins
    sample = sample_codes(*_sampled(task), task.protocol.num_train)
    return {f"mig{_bins_suffix(bins)}": mig(sample, num_bins=bins)}


def _dci(task: Task) -> dict[str, float]:
    classifier = task.protocol.dci_classifier
    scores = dci(
        *_train_and_test(task),
        task.random,
        classifier=classifier,
    )
    is_default = classifier == Protocol().dci_classifier
    prefix = "dci" if is_default else f"dci_{classifier}"
    return {f"{prefix}_{name}": score for name, score in scores._asdict().items()}


def _modularity_and_explicitness(task: Task) -> dict[str, float]:
    bins = task.protocol.num_bins
    train, test = _train_and_test(task)
    return {
        f"modularity{_bins_suffix(bins)}": modularity(train, num_bins=bins),
        "explicitness": explicitness(train, test),
    }


def _sap(task: Task) -> dict[str, float]:
    continuous = task.protocol.continuous_factors
    score = sap(*_train_and_test(task), continuous=continuous)
    return {"sap_continuous" if continuous else "sap": score}


def _total_correlation(task: Task) -> dict[str, float]:
    means, factors = sample_codes(*_sampled(task), task.protocol.num_train)
    told = {"means": means}
    if task.draw is not None:
        told["samples"] = encode_points(task.draw, factors, lambda codes: codes)
    return {
        f"gaussian_total_correlation_of_{name}_nats": gaussian_total_correlation(codes)
        for name, codes in told.items()
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


def _points(protocol: Protocol) -> Points:
    return Points(protocol.num_train, protocol.num_test, protocol.batch_size)


def _train_and_test(task: Task) -> tuple[Sample, Sample]:
    protocol = task.protocol
    train = sample_codes(*_sampled(task), protocol.num_train)
    return train, sample_codes(*_sampled(task), protocol.num_test)


def _bins_suffix(num_bins: int) -> str:
    return "" if num_bins == Protocol().num_bins else f"_bins{num_bins}"

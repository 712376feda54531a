from collections.abc import Sequence

import numpy as np
import pytest

from tests.helpers import grids
from vae.data import factors as factor_data
from vae.evaluation.disentanglement import representation
from vae.evaluation.disentanglement.representation import Encode
from vae.evaluation.disentanglement.scores import METRICS, Protocol, score_all
from vae.types import Unsupported

SOURCE = grids.grid(3, 4, 2, 3, 2)
SMALL = Protocol(num_train=600, num_test=300, batch_size=16)
FAST = SMALL._replace(num_train=200, num_test=100)
NOISE = np.random.default_rng(0).normal(size=(factor_data.num_images(SOURCE), 5))
QUICK = [metric for metric in METRICS if metric != "dci"]


def scores(
    encode: Encode,
    protocol: Protocol = SMALL,
    metrics: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    results = score_all(encode, SOURCE, seed=seed, protocol=protocol, metrics=metrics)
    prefix = "disentanglement/"
    assert all(name.startswith(prefix) for name in results)
    return {name.removeprefix(prefix): score for name, score in results.items()}


def noisy(factors: np.ndarray) -> np.ndarray:
    """A code that no score is certain of."""
    index = factor_data.index_of(SOURCE, factors)
    return grids.aligned(SOURCE)(factors) + NOISE[index]


def test_an_aligned_code_has_the_best_scores() -> None:
    got = scores(grids.aligned(SOURCE))
    assert got.keys() == {
        "beta_vae",
        "factor_vae",
        "mig",
        "dci_disentanglement",
        "dci_completeness",
        "dci_informativeness",
        "modularity",
        "explicitness",
        "sap",
        "gaussian_total_correlation_of_means_nats",
    }
    # Ten correlations of standard error 1/sqrt(600): their squares' sum over 2.
    assert 0 < got.pop("gaussian_total_correlation_of_means_nats") < 0.05
    # Other dimensions tell a factor by chance only; its own tells all of two or three
    # values, but of four, on a line, the two at the ends.
    sap = np.mean([1 - 1 / 3, 1 / 2 - 1 / 4, 1 - 1 / 2, 1 - 1 / 3, 1 - 1 / 2])
    # 300 test images: an accuracy is off by .03.
    assert got.pop("sap") == pytest.approx(sap, abs=0.03)
    assert all(0.9 <= score <= 1 for score in got.values()), got


@pytest.mark.slow
def test_a_rotated_code_has_worse_scores() -> None:
    protocol = FAST._replace(num_train=600, num_test=300)
    aligned = scores(grids.aligned(SOURCE), protocol)
    rotated = scores(grids.rotated(SOURCE), protocol)
    told_linearly = {"explicitness", "dci_informativeness"}
    uncorrelated = {"gaussian_total_correlation_of_means_nats"}
    for name in aligned.keys() - told_linearly - uncorrelated:
        assert rotated[name] < aligned[name] - 0.3, name


def test_images_are_encoded_in_large_blocks() -> None:
    blocks = []

    def encode(factors: np.ndarray) -> np.ndarray:
        blocks.append(len(factors))
        return grids.aligned(SOURCE)(factors)

    scores(encode, SMALL, metrics=["beta_vae"])
    assert sum(blocks) == (600 + 300) * 2 * 16
    assert blocks == [8192, 8192, 19200 - 2 * 8192, 8192, 9600 - 8192]


@pytest.mark.slow
def test_a_metric_does_not_depend_on_the_others() -> None:
    together = scores(noisy, FAST)
    alone: dict[str, float] = {}
    for metric in METRICS:
        alone |= scores(noisy, FAST, metrics=[metric])
    assert alone == together
    assert scores(noisy, FAST, metrics=["mig"], seed=1)["mig"] != together["mig"]


@pytest.mark.slow
def test_metrics_draw_different_images() -> None:
    first = []

    def encode(factors: np.ndarray) -> np.ndarray:
        first.append(factors[:20].tobytes())
        return noisy(factors)

    for metric in METRICS:
        scores(encode, FAST, metrics=[metric])
    assert len(set(first)) == len(first)


@pytest.mark.parametrize(
    ("sizes", "changes", "message"),
    [
        ((3, 1), {}, "two factors of variation or more, of two values"),
        ((3,), {}, "two factors of variation"),
        ((3, 301), {}, "needs 301 images"),
        ((3, 2), {"num_train": 2}, "needs 3 images"),
    ],
)
def test_what_has_no_score_is_refused(sizes, changes, message: str) -> None:
    source = grids.grid(*sizes)
    with pytest.raises(Unsupported, match=message):
        score_all(
            grids.aligned(source), source, seed=0, protocol=SMALL._replace(**changes)
        )


def test_codes_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(Unsupported, match="needs finite codes"):
        scores(lambda factors: np.where(factors > 2, np.nan, 1.0 * factors))


@pytest.mark.parametrize("rows", [1, 77])
def test_scores_do_not_depend_on_how_encoding_is_cut(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    whole = scores(noisy, FAST, metrics=QUICK)
    monkeypatch.setattr(representation, "ROWS_PER_BLOCK", rows)
    assert scores(noisy, FAST, metrics=QUICK) == whole

import numpy as np
import pytest

from vae.evaluation.base import map_batches, mean_and_error


def test_each_place_counts_once_and_batches_are_full() -> None:
    seen, sizes = [], []

    def double(places: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(places.tolist())
        return {"double": 2 * places}

    found = map_batches(double, np.array([5, 3, 8, 1, 9]), 3, sizes.append)
    assert found["double"].tolist() == [10, 6, 16, 2, 18]
    assert sizes == [3, 2]
    assert [len(places) for places in seen] == [3, 3]
    assert set(seen[1]) == {1, 9}


def test_one_value_has_no_standard_error() -> None:
    assert mean_and_error("test/elbo", np.array([3.0])) == {"test/elbo_nats": 3.0}
    found = mean_and_error("a", np.array([1.0, 3.0]))
    assert found == {"a_nats": 2.0, "a_stderr": pytest.approx(1.0)}

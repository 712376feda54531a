import itertools

import numpy as np
import pytest

from tests.helpers.trained import linear, untrained
from vae.data.splits import Dataset, Split
from vae.evaluation import chow_liu
from vae.evaluation.registry import EVALUATIONS

ALL = np.array([*itertools.product((0, 1), repeat=4)])
EDGES = [*itertools.combinations(range(4), 2)]


def is_tree(edges: tuple[tuple[int, int], ...]) -> bool:
    """Whether three edges join four nodes."""
    group = list(range(4))
    for i, j in edges:
        group = [group[i] if g == group[j] else g for g in group]
    return len(set(group)) == 1


TREES = [np.array(e) for e in itertools.combinations(EDGES, 3) if is_tree(e)]


@pytest.fixture
def rows() -> np.ndarray:
    """Examples of four values that depend on each other, as bytes [500, 4]."""
    random = np.random.default_rng(0)
    first = random.random(500) < 0.4
    flip = random.random((3, 500)) < np.array([[0.1], [0.2], [0.3]])
    second, third = first ^ flip[0], first ^ flip[1]
    columns = np.stack([first, second, third, second ^ flip[2]], 1)
    return columns.astype(np.uint8) * 255


def test_trees_are_those_of_four_nodes() -> None:
    assert len(TREES) == 4**2  # Cayley's formula


@pytest.mark.parametrize("pseudocount", [0.01, 1.0])
def test_every_tree_is_a_distribution(rows: np.ndarray, pseudocount: float) -> None:
    pairs = chow_liu.pair_probabilities(rows, pseudocount)
    for edges in (np.zeros((0, 2), int), *TREES):
        total = np.exp(chow_liu.log_prob(ALL, pairs, edges)).sum()
        np.testing.assert_allclose(total, 1, rtol=1e-12)


def test_no_tree_describes_the_training_data_better(rows: np.ndarray) -> None:
    pairs = chow_liu.pair_probabilities(rows, 1e-9)
    chosen = chow_liu.spanning_tree(chow_liu.mutual_information(pairs))
    means = [
        chow_liu.log_prob(rows // 255, pairs, edges).mean()
        for edges in (chosen, *TREES)
    ]
    assert means[0] == pytest.approx(max(means[1:]), abs=1e-9)


def test_a_tree_is_found_exactly() -> None:
    """Each row of a chain's distribution, as often as its probability says."""
    joint = np.ones(len(ALL))
    joint *= np.array([0.25, 0.75])[ALL[:, 0]]
    for i in range(3):
        joint *= np.where(ALL[:, i] == ALL[:, i + 1], 0.875, 0.125)
    counts = joint * 4 * 8**3
    np.testing.assert_array_equal(counts, counts.round())
    pairs = chow_liu.pair_probabilities(
        np.repeat(ALL, counts.astype(int), 0).astype(bool), 0.0
    )
    edges = chow_liu.spanning_tree(chow_liu.mutual_information(pairs))
    assert {frozenset(edge) for edge in edges.tolist()} == {
        frozenset((i, i + 1)) for i in range(3)
    }
    found = chow_liu.log_prob(ALL, pairs, edges)
    np.testing.assert_allclose(found, np.log(joint), rtol=1e-12)


def test_results_are_the_means_of_the_test_examples(rows: np.ndarray) -> None:
    train, test = Split(rows[:400], None), Split(rows[400:], None)
    trained = linear(4, None, 1)
    dataset = Dataset(train, train[:0], test)
    subject = trained.subject._replace(dataset=dataset)
    found = chow_liu.run(trained._replace(subject=subject), pseudocount=1.0)
    ones = ((rows[:400] > 0).sum(0) + 2) / 404
    log_probs = np.log(np.where(rows[400:] > 0, ones, 1 - ones)).sum(1)
    assert found["baseline/independent_nll_nats"] == pytest.approx(-log_probs.mean())
    error = log_probs.std(ddof=1) / 10
    assert found["baseline/independent_nll_stderr"] == pytest.approx(error)
    assert found["baseline/chow_liu_nll_nats"] < found["baseline/independent_nll_nats"]


def test_it_is_for_binary_data_and_probabilities(small_config) -> None:
    subject = untrained(small_config).subject
    applies = EVALUATIONS["chow_liu"].applies
    assert applies(subject, pseudocount=1.0) == "is for data of zeros and ones"
    train = subject.dataset.train
    binary = subject.dataset.map(
        lambda split: Split(np.uint8(255) * (split.images > 127), None)
    )
    subject = subject._replace(dataset=binary)
    assert applies(subject, pseudocount=1.0) is None
    wide = Split(np.zeros((2, 2049), np.uint8), None)
    wider = subject._replace(dataset=Dataset(wide, train[:0], wide))
    assert "at most 2048" in str(applies(wider, pseudocount=1.0))
    density = linear(4, None, 1).subject
    assert "is a density" in str(applies(density, pseudocount=1.0))

"""Two densities over binary data in closed form, to compare a model's with."""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from scipy.special import rel_entr

from vae.data.preprocess import to_unit
from vae.evaluation.base import Subject, Trained, mean_and_error
from vae.fields import Field

BLOCK = 4096  # examples held in float64 at once
MOST = 2048  # columns; memory grows with their square, to half a GiB


def applies(subject: Subject, *, pseudocount: float) -> str | None:
    del pseudocount
    dataset = subject.dataset
    if not subject.model.likelihood.is_discrete:
        return "gives probabilities, but the likelihood is a density"
    if np.prod(dataset.event_shape) > MOST:
        return f"is for at most {MOST} columns or pixels"
    for split in (dataset.train, dataset.test):
        if not all(np.isin(block, (0, 1)).all() for block in _blocks(split.images)):
            return "is for data of zeros and ones"
    return None


def run(
    trained: Trained, *, pseudocount: Annotated[float, Field(at_least=0.0)] = 0.0
) -> dict[str, Any]:
    """Returns -log p(x) of the test examples under independent Bernoulli variables and
    under the Chow-Liu tree, both fitted to the training examples.

    Args:
      trained: its data are zeros and ones.
      pseudocount: added to how often each pair of values is seen.

    References:
      Chow & Liu 1968, Approximating discrete probability distributions with dependence
      trees (doi 10.1109/TIT.1968.1054142).
    """
    dataset = trained.subject.dataset
    pairs = pair_probabilities(dataset.train.images, pseudocount)
    edges = spanning_tree(mutual_information(pairs))
    results: dict[str, Any] = {"baseline/pseudocount": pseudocount}
    for name, some in (("independent", edges[:0]), ("chow_liu", edges)):
        blocks = _blocks(dataset.test.images)
        log_probs = np.concatenate([log_prob(x, pairs, some) for x in blocks])
        results |= mean_and_error(f"baseline/{name}_nll", -log_probs)
    return results


def pair_probabilities(images: np.ndarray, pseudocount: float) -> np.ndarray:
    """Returns the probability of each pair of values of each two columns.

    Args:
      images: stored [N, *event], of zeros and ones.
      pseudocount: added to the count of each pair of values; the marginals stay those
        of the pairs.

    Returns:
      P(x_i = a, x_j = b) at [a, b, i, j], of shape [2, 2, D, D].
    """
    both: Any = sum(x.T @ x for x in _blocks(images))
    ones = np.broadcast_to(np.diag(both)[:, None], both.shape)
    counts = np.array(
        [[len(images) - ones - ones.T + both, ones.T - both], [ones - both, both]]
    )
    return (counts + pseudocount) / (len(images) + 4 * pseudocount)


def mutual_information(pairs: np.ndarray) -> np.ndarray:
    """Returns I(x_i; x_j) [D, D] in nats, of `pair_probabilities`."""
    single = marginals(pairs)
    product = single[:, None, :, None] * single[None, :, None, :]
    return rel_entr(pairs, product).sum((0, 1))


def marginals(pairs: np.ndarray) -> np.ndarray:
    """Returns P(x_i = a) [2, D], of `pair_probabilities`."""
    return pairs[..., 0].sum(1)


def spanning_tree(weights: np.ndarray) -> np.ndarray:
    """Returns the edges [D - 1, 2] of the tree with the largest sum of weights
    [D, D]."""
    from scipy.sparse.csgraph import minimum_spanning_tree

    # The function takes a weight of zero for no edge.
    tree = minimum_spanning_tree(weights.max() + 1 - weights).tocoo()
    return np.stack([tree.row, tree.col], 1)


def log_prob(x: np.ndarray, pairs: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Returns log p(x) [B] of examples x [B, D] under the tree of edges [E, 2]: the sum
    over columns of log p(x_i), and over edges of log p(x_i, x_j) / (p(x_i) p(x_j))."""
    x, (i, j) = x.astype(int), edges.T
    log_single = np.log(marginals(pairs))[x, np.arange(x.shape[1])]
    log_pair = np.log(pairs[x[:, i], x[:, j], i, j])
    ratio = log_pair - log_single[:, i] - log_single[:, j]
    return log_single.sum(1) + ratio.sum(1)


def _blocks(images: Any) -> Iterator[np.ndarray]:
    """Yields stored images [N, *event] as rows of numbers [B, D]."""
    for start in range(0, len(images), BLOCK):
        block = to_unit(images[start : start + BLOCK])
        yield block.reshape(len(block), -1).astype(np.float64)

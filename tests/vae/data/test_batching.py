import jax.numpy as jnp
import numpy as np

from vae.data.batching import batch_indices, epoch_order, host_order


def test_an_epoch_visits_every_example_once_in_a_new_order() -> None:
    orders = [epoch_order(seed, epoch, 100) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(100))
    assert len({np.asarray(order).tobytes() for order in orders}) == 3
    visited = [batch_indices(orders[0], i, jnp.arange(25), 25) for i in range(4)]
    np.testing.assert_array_equal(np.concatenate(visited), orders[0])


def test_kept_examples_are_visited_each_once_in_a_new_order() -> None:
    kept = np.arange(100) % 3 == 0
    orders = [np.asarray(epoch_order(0, epoch, 100, kept)) for epoch in (0, 1)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order[:34]), np.flatnonzero(kept))
    assert (orders[0] != orders[1]).any()


def test_few_kept_examples_are_visited_again_in_their_order() -> None:
    kept = np.arange(100) % 3 == 0
    order = np.asarray(epoch_order(0, 1, 100, kept))
    np.testing.assert_array_equal(order[34:68], order[:34])
    np.testing.assert_array_equal(order[68:], order[:32])
    np.testing.assert_array_equal(host_order(0, 1, 100, kept), order)

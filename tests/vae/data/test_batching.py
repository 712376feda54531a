import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.program import ask_call, chunks, make_program
from vae.build import build
from vae.data.batching import batch_indices, epoch_order


def test_an_epoch_visits_every_example_once_in_a_new_order() -> None:
    orders = [epoch_order(seed, epoch, 100) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(100))
    assert len({np.asarray(order).tobytes() for order in orders}) == 3
    visited = [batch_indices(orders[0], i, jnp.arange(25), 25) for i in range(4)]
    np.testing.assert_array_equal(np.concatenate(visited), orders[0])


def test_kept_examples_come_first_each_once_in_a_new_order() -> None:
    kept = np.arange(100) % 3 == 0
    orders = [np.asarray(epoch_order(0, epoch, 100, kept))[:34] for epoch in (0, 1)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.flatnonzero(kept))
    assert (orders[0] != orders[1]).any()


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize(
    ("start", "name"),
    [(3, "mnist_5k"), (0, "digits"), (3, "color_sprites:8")],
)
def test_streaming_trains_as_resident_bit_for_bit(
    small_config, parallel: str, start: int, name: str
) -> None:
    """Over two epochs of digits and a remainder, from within an epoch; on digits of
    two labels, from the start; on sprites, which the compiled step draws from the
    factors that are streamed."""
    small_config.dataset.batch_size = 1000  # four batches in an epoch of 4,500
    small_config.dataset.name = name
    if name == "digits":  # of some labels, nine batches in an epoch
        small_config.dataset.name = "mnist_5k"
        small_config.dataset.keep_labels = (2, 7)
        small_config.dataset.batch_size = 100
    elif name != "mnist_5k":
        small_config.dataset.binarize = "none"
        small_config.model.likelihood.name = "continuous_bernoulli"
    small_config.train.steps = 10
    small_config.runtime.steps_per_call = small_config.train.log_every = 3
    small_config.runtime.parallel = parallel

    def final(pipeline: str):
        small_config.runtime.pipeline = pipeline
        experiment = build(small_config)
        program = make_program(experiment)
        state, totals = program.initialize(experiment)
        carry = (state._replace(step=jnp.int32(start)), totals)
        for (first, end), data in zip(
            program.plan.calls(start),
            chunks(experiment, program, start),
            strict=False,
        ):
            carry = ask_call(experiment, program, carry, data, end - first).compute()
        return carry[0]

    resident, streamed = final("resident"), final("stream")
    assert int(resident.step) == int(streamed.step) == 10
    jax.tree.map(np.testing.assert_array_equal, resident.params, streamed.params)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.program import chunks, make_program
from tests.helpers.training import advance
from vae.build import build
from vae.data.splits import Split
from vae.data.streaming import steps_per_chunk


def test_the_batches_of_a_call_fit_the_memory_for_them() -> None:
    """Of 1 MiB an image and four images a batch, 64 MiB hold 16 batches."""
    split = Split(np.zeros((8, 1024, 1024, 1), np.uint8), None)
    assert steps_per_chunk(split, 4, steps_per_call=100) == 16
    assert steps_per_chunk(split, 4, steps_per_call=5) == 5
    assert steps_per_chunk(split, 1000, steps_per_call=5) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "name", "parallel"),
    [
        (3, "mnist_5k", "jit"),
        (3, "mnist_5k", "pmap"),
        (0, "digits", "jit"),
        (3, "color_sprites:8", "jit"),
    ],
)
def test_streaming_trains_as_resident_bit_for_bit(
    small_config, start: int, name: str, parallel: str
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
            chunks([experiment], program, start),
            strict=False,
        ):
            carry = advance(experiment, program, carry, data, end - first)
        return carry[0]

    resident, streamed = final("resident"), final("stream")
    assert int(resident.step) == int(streamed.step) == 10
    jax.tree.map(np.testing.assert_array_equal, resident.params, streamed.params)

"""Compiled functions of experiments that share them."""

import jax
import numpy as np
import pytest

from experiments.program import make_program, own_model, put
from tests.helpers.training import advance, assert_equal
from vae.build import build, vary
from vae.training.parallel import one_per_device


@pytest.mark.slow
def test_a_program_serves_another_size_and_is_compiled_once(
    small_config, compilations
) -> None:
    """What it gives is what a program of that experiment's own gives."""
    first = build(small_config, one_per_device(2)[0])
    program = make_program(first)
    small_config.model.latent_dim, small_config.objective.beta = 7, 3.0
    other, steps = vary(first, small_config), 5
    served = [
        advance(run, program, program.initialize(run), program.data, steps)
        for run in (first, other)
    ]
    assert compilations("call") == 1
    own = make_program(other)
    expected = advance(other, own, own.initialize(other), own.data, steps)
    assert_equal(jax.device_get(served[1]), jax.device_get(expected))
    elsewhere = other._replace(placement=one_per_device(2)[1])
    moved = put(program, elsewhere.placement)
    carry = moved.initialize(elsewhere)
    again = advance(elsewhere, moved, carry, moved.data, steps)
    assert again[0].seed.devices() != expected[0].seed.devices()
    assert_equal(jax.device_get(again), jax.device_get(expected))


def test_a_model_of_its_own_size_is_without_padding(small_config) -> None:
    experiment = build(small_config)
    state, _ = make_program(experiment).initialize(experiment)
    _, own = own_model(experiment, state)
    sizes = [
        tree["params"]["posterior"]["mean"]["kernel"].shape[-1]
        for tree in (own, state.variables)
    ]
    assert sizes == [4, 16]
    mean = state.variables["params"]["posterior"]["mean"]["kernel"]
    np.testing.assert_array_equal(
        own["params"]["posterior"]["mean"]["kernel"], mean[:, :4]
    )


def test_flips_are_for_training_only(small_config) -> None:
    """Initial parameters and evaluation are the same bits with them as without."""
    found = {}
    for flip in ("none", "horizontal"):
        small_config.dataset.flip = flip
        experiment = build(small_config)
        program = make_program(experiment)
        start = program.initialize(experiment)
        split, places = experiment.dataset.test[:20], np.arange(20, dtype=np.int32)
        evaluate = program.evaluate("test", 3, 1)
        bounds = evaluate(start[0].variables, start[0].seed, split, places)
        state, _ = advance(experiment, program, start, program.data, 1)
        found[flip] = jax.device_get((start[0], bounds, state.params))
    (*same, trained), (*others, flipped) = found.values()
    assert_equal(same, others)
    pairs = zip(jax.tree.leaves(trained), jax.tree.leaves(flipped), strict=True)
    assert all((a != b).any() for a, b in pairs)

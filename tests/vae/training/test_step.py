"""Properties of the compiled training program."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.program import make_program, own_model
from tests.helpers.training import advance, assert_equal, train
from vae.build import build
from vae.training.averaging import with_average
from vae.training.optimizer import constant, make_optimizer, momentum
from vae.training.state import (
    MOST_SKIPPED,
    NORMS,
    SKIPPED,
    TrainState,
    add_to_totals,
    emptied,
    first_nonfinite,
    is_stuck,
    read_totals,
    zero_totals,
)
from vae.training.step import make_train_step
from vae.types import Batch, Objective


@pytest.mark.slow
def test_results_do_not_depend_on_the_cut_into_calls(small_config) -> None:
    small_config.dataset.batch_size = 500  # nine steps an epoch
    whole = train(small_config)
    assert_equal(whole, train(small_config, calls=[1, 7, 2, 10]))


@pytest.mark.slow
def test_training_lowers_the_loss(small_config) -> None:
    _, first = train(small_config, calls=[20])
    state, totals = train(small_config, calls=[2000])
    losses = [t.sums["loss"] / t.steps for t in (first, totals)]
    # The mean over 20 batches of 20 images, sd 50 each, has an error of 2.5 nats.
    assert losses[1] < losses[0] - 15
    assert state.step == totals.steps == 2000


@pytest.mark.slow
def test_a_seed_controls_initialisation(small_config) -> None:
    def kernels(seed: int) -> list[np.ndarray]:
        small_config.seed = seed
        experiment = build(small_config)
        state, _ = make_program(experiment).initialize(experiment)
        _, variables = own_model(experiment, state)
        leaves = jax.tree.leaves(jax.device_get(variables))
        return [leaf for leaf in leaves if leaf.ndim == 2]

    assert_equal(kernels(3), kernels(3))
    for one, other in zip(kernels(3), kernels(4), strict=True):
        assert (one != other).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("binarize", "metric"),
    [("threshold", "rate_nats"), ("dynamic", "rate_nats"), ("none", "distortion_nats")],
)
def test_a_seed_controls_order_binarisation_and_noise(
    small_config, binarize: str, metric: str
) -> None:
    """From the same parameters: in a batch that holds all data the order is nothing,
    so the rate tells of the binarisation; without one, the distortion of the noise."""
    all_data = binarize != "threshold"
    small_config.dataset.binarize = binarize
    small_config.dataset.batch_size = 4500 if all_data else 20
    if binarize == "none":
        small_config.model.likelihood.name = "gaussian"
    experiment = build(small_config)
    program = make_program(experiment)

    def value(seed: int) -> float:
        state, totals = program.initialize(experiment)
        carry = state._replace(seed=jnp.uint32(seed)), totals
        carry = advance(experiment, program, carry, program.data, 1)
        return float(carry[1].sums[metric])

    assert value(3) == value(3)
    # Sums in another order differ by rounding; other draws by far more.
    assert abs(value(3) - value(4)) > 1e-4 * abs(value(3))


@pytest.mark.slow
def test_clipping_bounds_the_first_sgd_update(small_config) -> None:
    small_config.optimizer.name = "sgd"
    small_config.optimizer.clip_norm = 0.5
    small_config.train.steps = small_config.train.log_every = 1
    before, (after, totals) = train(small_config, calls=[0])[0], train(small_config)
    assert read_totals(totals)["grad_norm"] > 0.5
    update = jax.tree.map(np.subtract, after.params, before.params)
    np.testing.assert_allclose(optax.tree.norm(update), 0.5 * 1e-3, rtol=1e-4)


def test_one_program_serves_calls_of_every_length(small_config, compilations) -> None:
    experiment = build(small_config)
    program = make_program(experiment)
    carry = program.initialize(experiment)
    for num_steps in (0, 1, 5, 2):
        carry = advance(experiment, program, carry, program.data, num_steps)
    assert compilations("call") == 1


@pytest.mark.slow
def test_bfloat16_trains_with_float32_parameters_and_densities(small_config) -> None:
    reference = read_totals(train(small_config)[1])
    small_config.precision = "bfloat16"
    state, totals = train(small_config)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {
        np.dtype("float32")
    }
    assert totals.sums["loss"].dtype == np.float32
    assert read_totals(totals)["loss"] != reference["loss"]
    # bfloat16 keeps 8 bits: relative error of about 2^-8 in the decoder's products
    np.testing.assert_allclose(
        read_totals(totals)["loss"], reference["loss"], rtol=0.01
    )


def quadratic(params, batch, key, hparams, step):
    """A loss whose gradient in the model's kernel is the sum of the batch."""
    del key, hparams, step
    loss = (params["model"]["kernel"] * batch.x).sum()
    return loss, {"loss": loss}


def test_updates_are_skipped_as_if_they_were_not_there() -> None:
    """Of a gradient that is too large, of a nan, and of a loss that alone is infinite:
    what is left of the run is the run of the other steps, but for their numbers."""
    tx = with_average(make_optimizer(momentum(), constant()), ema_decay=0.5)
    step = jax.jit(make_train_step(Objective(None, quadratic), tx, skip_norm=3.0))
    params = {"model": {"kernel": jnp.array([1.0, 2.0])}, "objective": {}}
    start = TrainState(
        step=jnp.int32(100),  # where the average's decay is .5
        seed=jnp.uint32(0),
        params=params,
        opt_state=tx.init(params),
        hparams={"learning_rate": jnp.float32(0.1)},
    )
    good = [[1.0, 2.0], [-2.0, 0.5], [0.0, 3.0]]
    bad = [[3.0, 1.0], [np.nan, 0.0], [np.inf, -np.inf], [1e38, 0.0]]
    state, totals = start, zero_totals(("loss", *NORMS, SKIPPED), jnp.float32)
    for x in (*good[:1], *bad[:2], *good[1:2], *bad[2:], *good[2:]):
        batch = Batch(jnp.array(x), None, jnp.arange(2))
        state, metrics = step(state, batch)
        totals = add_to_totals(totals, metrics, state.step)
    expected, sums = start, 0.0
    for x in good:
        expected, metrics = step(expected, Batch(jnp.array(x), None, jnp.arange(2)))
        assert metrics[SKIPPED] == 0
        sums += metrics["loss"]
    assert state.step == 107
    assert_equal(state._replace(step=0), expected._replace(step=0))
    assert first_nonfinite(totals) is None
    read = read_totals(totals)
    assert read[SKIPPED] == pytest.approx(4 / 7)
    assert read["loss"] == pytest.approx(sums / 3)


def test_a_run_is_given_up_when_updates_are_skipped_one_after_the_other() -> None:
    """Whatever was logged in between: totals begin anew then."""
    names = ("loss", *NORMS, SKIPPED)
    totals = zero_totals(names, jnp.float32)
    metrics = {name: jnp.float32(name == SKIPPED) for name in names}
    applied = dict.fromkeys(names, jnp.float32(0))
    add = jax.jit(add_to_totals)
    for step in range(1, 2 * MOST_SKIPPED):
        totals = add(totals, applied if step == 50 else metrics, jnp.int32(step))
        if step % 30 == 0:
            assert np.isnan(read_totals(totals)["loss"]) == (step != 60)
            totals = emptied(totals)
        assert is_stuck(totals, step) == (step >= 50 + MOST_SKIPPED)
        assert first_nonfinite(totals) is None
